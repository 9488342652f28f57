"""Stop every process whose command line names the scenario's folder, and print their numbers."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import psutil

folder = f"{sys.argv[1]}/"
mine = [
    process
    for process in psutil.process_iter(["cmdline"])
    if process.pid != os.getpid()
    and any(folder in argument for argument in process.info["cmdline"] or ())
]
for number in (signal.SIGTERM, signal.SIGKILL):
    for process in mine:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    psutil.wait_procs(mine, timeout=3)
sys.stdout.write(" ".join(str(process.pid) for process in mine))
