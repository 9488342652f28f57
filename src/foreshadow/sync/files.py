"""Capture of ``files``: a tree or a single file, with excludes and the secrets guard."""

from __future__ import annotations

import os
import random
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from foreshadow.domain.errors import SyncError
from foreshadow.domain.protocols import Findings, Found, Scene
from foreshadow.sync.entries import link_problem, path_problem
from foreshadow.sync.guard import Globs, is_secret
from foreshadow.sync.options import read_options
from foreshadow.sync.places import STATE, checked_place, place
from foreshadow.sync.watch import TreeWatch

_WALK_EVERY = 300.0
"""Seconds after which a tree is walked although nothing happened that the kernel tells of."""


class FilesOptions(BaseModel):
    """What to capture.

    :ivar path: below ``{state}``, or absolute where the agent has the machine to itself.
    :ivar exclude: globs of what is left out; without ``/`` one fits names, else paths below
        ``path``.
    :ivar include_secrets: globs of secrets that are wanted all the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = STATE
    exclude: tuple[str, ...] = ()
    include_secrets: tuple[str, ...] = ()

    @field_validator("path")
    @classmethod
    def _somewhere(cls, path: str) -> str:
        return checked_place(path)


class FilesCapture:
    """Finds the files, directories and links of a tree."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = read_options("files", options, FilesOptions)
        self._excluded = Globs(self._options.exclude)
        self._included = Globs(self._options.include_secrets)
        self._watch = TreeWatch(self._excluded.fit)
        self._known: Findings | None = None
        self._walk_at = 0.0

    def capture(self, scene: Scene) -> Findings:
        """Walk the tree, unless nothing happened in it. Nothing is opened: who calls reads.

        :raises SpecError: for an absolute path where agents share the machine.
        :raises SyncError: when the path is not there or cannot be listed.
        """
        root, prefix = place(self._options.path, scene, "files")
        known, self._known = self._known, None
        try:
            quiet = self._watch.is_quiet(root) and not scene.thorough
            if known is None or not quiet or time.monotonic() >= self._walk_at:
                known = self._walked(root, prefix)
                self._walk_at = time.monotonic() + _WALK_EVERY * random.uniform(0.8, 1.2)
            else:
                known = replace(known, unchanged=True)
        except OSError as error:
            raise SyncError(
                f"{error.filename} cannot be read: {error.strerror}",
                where=f"state path {self._options.path}",
                remedy="create it, let the agent's user read it, or take it out of the state",
            ) from None
        self._known = known
        return known

    def _walked(self, root: Path, prefix: str) -> Findings:
        skipped: dict[str, list[str]] = {}
        if stat.S_ISDIR(root.lstat().st_mode):
            self._watch.begin(root)
            found = tuple(self._walk(root, prefix, skipped))
        else:
            found = (Found(prefix, str(root)),)
        notes = list(_told(skipped))
        if self._watch.problem:
            notes.append(f"every file is looked at in each round: {self._watch.problem}")
        return Findings(found, notes=tuple(notes))

    def _walk(self, root: Path, prefix: str, skipped: dict[str, list[str]]) -> Iterator[Found]:
        if prefix:
            yield Found(prefix, str(root))
        pending = [""]
        while pending:
            folder = pending.pop()
            self._watch.add(root / folder, folder)
            for item in _listed(root, folder):
                inner = f"{folder}/{item.name}" if folder else item.name
                path = f"{prefix}/{inner}" if prefix else inner
                if self._excluded.fit(inner):
                    continue
                if problem := self._problem(item, inner, path):
                    skipped.setdefault(problem, []).append(inner)
                    continue
                if item.is_dir(follow_symlinks=False):
                    pending.append(inner)
                yield Found(path, item.path)

    def _problem(self, item: os.DirEntry[str], inner: str, path: str) -> str | None:
        """Return why something is left out although nobody excluded it."""
        if is_secret(inner, self._included):
            return "may hold a secret: name it in include_secrets if it belongs to the state"
        if item.is_symlink():
            problem = link_problem(path, _target(item.path))
            return problem and f"is a link, and {problem}"
        if item.is_file(follow_symlinks=False) or item.is_dir(follow_symlinks=False):
            return path_problem(path)
        return "is neither a file, a directory nor a link"


def _listed(root: Path, folder: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder; one that went away since it was seen is empty."""
    try:
        with os.scandir(root / folder) as listing:
            return list(listing)
    except FileNotFoundError:
        if not folder:
            raise
        return []


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except FileNotFoundError:
        return ""


def _told(skipped: Mapping[str, list[str]]) -> Iterator[str]:
    shown = 3
    counts = Counter({problem: len(paths) for problem, paths in skipped.items()})
    for problem, count in sorted(counts.items()):
        names = ", ".join(sorted(skipped[problem])[:shown])
        more = f" and {count - shown} more" if count > shown else ""
        yield f"left out {names}{more}: it {problem}"
