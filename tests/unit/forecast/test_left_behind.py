"""A forecast that was killed leaves nothing behind. (Of many: tests/long/test_forecast.py.)"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

FOLLOW = 60.0
"""Seconds within which something that must come about is awaited; a machine may be busy."""

ENDLESS = """
import sys
from foreshadow.forecast import prophet
from tests.unit.forecast.days import history, rhythm
prophet.fit(history(rhythm(4)))
print("begun", flush=True)
k = 0
while True:
    k += 1
    prophet.fit(history(rhythm(21, seed=k)))
"""


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}


def marked(folder: Path) -> list[psutil.Process]:
    """Return the processes that were begun with a temporary folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def test_a_killed_forecast_leaves_no_process_and_the_next_one_sweeps_its_files(
    tmp_path: Path,
) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        deadline = time.monotonic() + FOLLOW
        while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert any(tmp_path.iterdir()), "it never had a temporary file"
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait(FOLLOW)
        assert running.stdout is not None
        running.stdout.close()
    deadline = time.monotonic() + FOLLOW
    while marked(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(tmp_path) == []
    again = (
        "from foreshadow.forecast import prophet; "
        "from tests.unit.forecast.days import history, rhythm; prophet.fit(history(rhythm(4)))"
    )
    subprocess.run(
        [sys.executable, "-c", again], env=environment(tmp_path), check=True, capture_output=True
    )
    assert list(tmp_path.iterdir()) == []
