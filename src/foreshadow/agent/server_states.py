"""The file from which HAProxy takes the states of its servers when it is reloaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from foreshadow.domain.errors import DirectorError


def write_states(path: Path, lines: Sequence[str]) -> None:
    """Replace the file in one step, so that a reload never reads half of it.

    :param lines: as ``show servers state`` gives them.
    :raises DirectorError: when it cannot be written.
    """
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(0o644)
            Path(draft).replace(path)
        except OSError:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DirectorError(
            f"its server states cannot be written to {path}: {error.strerror}",
            where="the agent",
            remedy="let the agent's user write to that directory",
        ) from None
