"""The versions of a resource's state on one host: immutable trees, one of them current.

In the resource's folder: ``versions/N`` is the tree of version N and ``manifests/N.json`` its
manifest, ``current`` a link to the tree, ``incoming`` what is being received, ``spares`` large
files of versions that went, ``profile.json`` the last workload profile. The current version and
the one before it are kept.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.durable import remove_tree, replace_file, sync_all, sync_path
from foreshadow.sync.stored import Version, read_version, write_version


class Versions:
    """The versions below one folder.

    :param leaving: is given a version that is about to be removed, and its tree.
    """

    def __init__(
        self, folder: Path, leaving: Callable[[Path, Version], None] = lambda *_: None
    ) -> None:
        self.folder = folder
        self._leaving = leaving
        self._trees = folder / "versions"
        self._manifests = folder / "manifests"
        self._known: dict[int, Version] = {}

    def tree(self, number: int) -> Path:
        """Return where the tree of a version is."""
        return self._trees / str(number)

    def current(self) -> Version:
        """Return the current version; number 0 without entries before the first."""
        number = self._current_number()
        return self._read(number) or Version(number, "", (), WallTime(0.0))

    def kept(self) -> tuple[Version, ...]:
        """Return the versions whose trees and manifests are there: the current, then the others."""
        current = self._current_number()
        others = sorted((n for n in self._numbers() if n < current), reverse=True)
        found = (self._read(number) for number in (current, *others))
        return tuple(version for version in found if version is not None)

    def find(self, root: str) -> Version | None:
        """Return the kept version whose root begins so."""
        return next((v for v in self.kept() if root and v.root.startswith(root)), None)

    def publish(self, tree: Path, version: Version, made: Sequence[Path], *, flush: bool) -> None:
        """Make a finished tree the current version, by one rename of a link.

        A crash at any point leaves the version before as the current one, or this one.

        :param made: what has to be flushed of the tree, relative to it.
        :param flush: leave nothing to :meth:`flush`, and remove what is too old; without, a power
            cut may leave a version whose files are not as its manifest has them, which shows.
        """
        for folder in (self._trees, self._manifests):
            folder.mkdir(mode=0o711, exist_ok=True)
        write_version(self._manifest(version.number), version, durable=False)
        target = self.tree(version.number)
        remove_tree(target)
        tree.rename(target)
        if flush:
            self.flush(version.number, made)
        fresh = self.folder / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("versions", str(version.number)))
        fresh.replace(self.folder / "current")
        self._known[version.number] = version
        if flush:
            sync_path(self.folder)
            self.prune()

    def flush(self, number: int, made: Iterable[Path]) -> None:
        """Bring a version to the disk; the link to it is another matter.

        Everything is written before the first flush: the others then find little left to do.

        :param made: what is new in its tree, relative to it.
        """
        tree = self.tree(number)
        paths = [*(tree / path for path in made), tree, self._trees]
        sync_all([*paths, self._manifest(number), self._manifests], self.folder)

    def prune(self) -> None:
        """Remove all but the current version and the one before it."""
        keep = {self._current_number(), *(version.number for version in self.kept()[:2])}
        for number in self._numbers():
            if number not in keep:
                version = self._read(number)
                if version is not None:
                    self._leaving(self.tree(number), version)
                remove_tree(self.tree(number))
        with contextlib.suppress(FileNotFoundError):
            for manifest in self._manifests.iterdir():
                if manifest.suffix != ".json" or int(manifest.stem) not in keep:
                    manifest.unlink()
        self._known = {number: v for number, v in self._known.items() if number in keep}

    def keep_profile(self, profile_json: str) -> None:
        """Keep the workload profile that came with the last round."""
        replace_file(self.folder / "profile.json", profile_json.encode())

    def profile_json(self) -> str:
        """Return the workload profile that came last, as it was sent; empty before the first."""
        try:
            return (self.folder / "profile.json").read_text()
        except OSError:
            return ""

    def written_to(self) -> tuple[Path, ...]:
        """Return the directories on which a demoted primary ran: nearly what comes back."""
        live = (self.folder / "live").resolve()
        return tuple(path for path in self.folder.glob("writable-*") if path.resolve() != live)

    def _read(self, number: int) -> Version | None:
        if number not in self._known:
            version = read_version(self._manifest(number))
            if version is None or version.number != number or not self.tree(number).is_dir():
                return None
            self._known[number] = version
        return self._known[number]

    def _current_number(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "current").readlink().name)
        return 0

    def _numbers(self) -> list[int]:
        with contextlib.suppress(OSError):
            return [int(path.name) for path in self._trees.iterdir() if path.name.isdecimal()]
        return []

    def _manifest(self, number: int) -> Path:
        return self._manifests / f"{number}.json"


def intact(tree: Path, entries: tuple[Entry, ...]) -> dict[str, Entry]:
    """Return the entries that a tree still has as they were applied, by their path.

    A file's size, time and mode were set when its content was verified, so that a service which
    wrote into a version shows. What stands below anything but a real directory does not count.
    """
    good: dict[str, Entry] = {}
    folders = {""}
    root = f"{tree}/"
    for entry in entries:
        if entry.path.rpartition("/")[0] not in folders:
            continue
        with contextlib.suppress(OSError):
            status = os.lstat(root + entry.path)
            if stat.S_ISDIR(status.st_mode):
                folders.add(entry.path)
            if _is_as(root + entry.path, status, entry):
                good[entry.path] = entry
    return good


def _is_as(path: str, status: os.stat_result, entry: Entry) -> bool:
    match entry.kind:
        case EntryKind.SYMLINK:
            return stat.S_ISLNK(status.st_mode) and os.readlink(path) == entry.target  # noqa: PTH115
        case EntryKind.DIRECTORY:
            return stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == entry.mode
        case EntryKind.FILE:
            return (
                stat.S_ISREG(status.st_mode)
                and stat.S_IMODE(status.st_mode) == entry.mode
                and (status.st_size, status.st_mtime_ns) == (entry.size, entry.mtime_ns)
            )
