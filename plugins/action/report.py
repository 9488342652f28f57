# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.foreshadow.core.plugins.plugin_utils.in_process import InProcess


class ActionModule(InProcess):
    """Runs the module of the same name, in this process where it can."""

    MODULE = "report"
