-- Copyright: (c) 2026, Foreshadow developers
-- GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

-- Holds a request while a process variable lies in the future: the wall time in milliseconds at which the hold ends by
-- itself. Foreshadow sets it through the runtime API, and sets it to 0 to let the requests go on.
core.register_action("foreshadow_hold", { "http-req" }, function(txn, name)
    while true do
        local expiry = txn:get_var(name)
        local now = core.now()
        if not expiry or now.sec * 1000 + now.usec // 1000 >= expiry then
            return
        end
        core.msleep(1)
    end
end, 1)
