"""Running one command to its end, or to its deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 30.0
"""How long Terraform may take to stop what it does and write its state, once it is interrupted."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    :ivar status: its exit status, negative for a signal.
    :ivar late: it was interrupted at its deadline.
    :ivar killed: it did not end then either, and was killed: its lock may be left.
    """

    status: int
    out: str
    err: str
    late: bool = False
    killed: bool = False


def run_to_end(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    grace: float = GRACE_SECONDS,
) -> Ended:
    """Run a command, interrupting it at its deadline or when this process is interrupted.

    Terraform takes SIGINT as the wish to stop: it ends what it began, writes the state and gives
    the lock back. Only when it does not, it is killed together with what it started.

    :param seconds: until the deadline.
    :param grace: seconds between SIGINT and SIGKILL.
    :raises OSError: when it cannot be started.
    """
    # Files and not pipes: a process that Terraform left behind would hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            # A session of its own: Ctrl-C reaches us, and we tell it once.
            start_new_session=True,
        )
        late = killed = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late, killed = True, _stop(process, grace)
        except BaseException:
            _stop(process, grace)
            raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Ended(process.returncode, texts[0], texts[1], late, killed)


def _stop(process: subprocess.Popen[bytes], grace: float) -> bool:
    """End the process; return whether it had to be killed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        # It has not been waited for, so the number of its group is still its own.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False
