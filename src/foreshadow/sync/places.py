"""Where a path of the spec's ``state`` lies on this host, and where it stands in a version."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from blake3 import blake3

from foreshadow.domain.errors import SpecError
from foreshadow.domain.protocols import Scene
from foreshadow.sync.entries import path_problem

STATE = "{state}"
ABSOLUTE = "absolute"
"""The folder of a version under which absolute paths stand."""


def checked_place(path: str) -> str:
    """Return a path that is below ``{state}``, or absolute.

    :raises ValueError: when it is neither, or is not normalised.
    """
    inner = path.removeprefix(STATE).strip("/")
    rooted = path == STATE or path.startswith(("/", f"{STATE}/"))
    if not rooted or "{" in inner:
        raise ValueError(f"{path} is no place: write {STATE}/… or an absolute path")
    if path == "/" or (inner and path_problem(inner)):
        raise ValueError(f"{path} is no place for a state: name a folder, without . or ..")
    return path


def one_file(path: str) -> str:
    """Return where a file that a capture makes stands in the version: below ``{state}``.

    :raises ValueError: when it leaves the version.
    """
    inner = path.removeprefix(f"{STATE}/")
    if problem := path_problem(inner):
        raise ValueError(f"{path} is no file below {STATE} ({problem}): write {STATE}/snapshot")
    return inner


def place(path: str, scene: Scene, kind: str) -> tuple[Path, str]:
    """Return where a checked path really lies, and where it stands in the version.

    :raises SpecError: for an absolute path where agents share the machine.
    """
    if path.startswith(STATE):
        inner = path.removeprefix(STATE).strip("/")
        return (scene.state / inner).resolve(), inner
    if scene.shared_machine:
        raise SpecError(
            f"the absolute path {path} is refused, since agents share this machine",
            where=f"state of kind {kind}",
            remedy=f"write it below {STATE}",
        )
    prefix = str(PurePosixPath(ABSOLUTE, path.strip("/")))
    brought = scene.state / prefix
    return (brought if brought.exists() else Path(path).resolve(), prefix)


def scratch_files(scene: Scene, path: str | Path, kind: str) -> tuple[Path, Path]:
    """Return where a capture keeps what it made of a path, and where it makes the next one."""
    name = blake3(os.fsencode(path)).hexdigest()[:32]
    return scene.scratch / f"{name}.{kind}", scene.scratch / f"{name}.draft"
