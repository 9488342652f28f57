"""What is kept of large pieces that were freed: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys

MIB = 2**20
PROGRAM = """
import threading
from pathlib import Path
from foreshadow.agent.memory import return_large_pieces

def held():
    (line,) = [l for l in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in l]
    return int(line.split()[1]) * 1024

def work():
    for _ in range(3):  # what is freed once is kept from the next time on
        pieces = [bytearray(b"x") * (24 * 2**20)]
        pieces.append([bytes(2000) for _ in range(50)])  # such as lies behind it, and stays
        pinned.append(pieces.pop())
        del pieces

return_large_pieces()
pinned, before = [], held()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(held() - before)
"""


def kept() -> int:
    """Return the bytes that a process holds after it let go of large pieces."""
    command = [sys.executable, "-c", PROGRAM]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_large_pieces_go_back_at_once() -> None:
    """Without the setting, glibc keeps 24 MiB and more of this program."""
    assert kept() < 8 * MIB
