"""Where the source reads contents from when it sends them, and what it makes patches against.

A file is copied while it is hashed, so that what was offered can be sent whatever happens to the
file meanwhile, and so that the next version can be compared with it. Each content is kept once,
under its digest, for as long as the state or a destination has it. Where the disk is too full for
that, a file is read where it lies, and refused when it is no longer what was hashed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.errors import SyncError
from foreshadow.sync.reading import Content, Stamp, open_file, read_steady

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that holds a content; with a stamp, only for as long as the file still has it."""

    path: str
    stamp: Stamp | None = None

    def read(self, offset: int, size: int, slice_size: int) -> Iterator[bytes]:
        """Give the bytes from ``offset`` to ``size`` in slices.

        :raises SyncError: when the file is gone or is no longer what was hashed.
        """
        with self.opened() as descriptor:
            while offset < size:
                data = os.pread(descriptor, min(slice_size, size - offset), offset)
                if not data:
                    raise self._changed()
                offset += len(data)
                yield data

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Give a descriptor to read the content from.

        :raises SyncError: when the file is gone, or is no longer what was hashed, also afterwards.
        """
        try:
            with open_file(self.path) as descriptor:
                self._check(descriptor)
                try:
                    yield descriptor
                except EOFError:
                    raise self._changed() from None
                self._check(descriptor)
        except FileNotFoundError:
            raise self._changed() from None

    def _check(self, descriptor: int) -> None:
        if self.stamp is not None and Stamp.of(os.fstat(descriptor)) != self.stamp:
            raise self._changed()

    def _changed(self) -> SyncError:
        return SyncError(
            "it changed after it was captured",
            where=f"state file {self.path}",
            remedy="the next round takes it as it is then",
        )


class Outbox:
    """Copies of contents that are sent, or were, by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[object, Mapping[str, Origin]] = {}
        self._there: set[str] = set()
        self._swept: tuple[frozenset[str], Mapping[str, Origin]] | None = None

    def prepare(self) -> None:
        """Make the folder, so that only a state file can be the one that is not there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._there = set(os.listdir(self._folder))  # noqa: PTH208 - paths of thousands of names are slow to make

    def read(self, path: str, *, copy: bool, known: str | None = None) -> tuple[Content, Origin]:
        """Hash a file, and copy it meanwhile when asked to and where there is room.

        :param known: what it probably holds still; when there is a copy of that, none is made.
        :raises FileNotFoundError: when it is gone.
        :raises SyncError: when it cannot be read.
        """
        if known is not None and self.has(known):
            content = read_steady(path)
            if content.digest == known:
                return content, self.origin(known)
        if copy:
            try:
                return self._copied(path)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._draft.unlink(missing_ok=True)
        content = read_steady(path)
        return content, Origin(path, content.stamp)

    def has(self, digest: str) -> bool:
        """Return whether there is a copy of a content."""
        return digest in self._there

    def origin(self, digest: str) -> Origin:
        """Return the copy of a content that is there."""
        return Origin(f"{self._folder}/{digest}")

    @contextlib.contextmanager
    def hold(self, origins: Mapping[str, Origin]) -> Iterator[None]:
        """Keep the copies of these digests from being swept."""
        holder = object()
        self._held[holder] = origins
        try:
            yield
        finally:
            del self._held[holder]

    def sweep(self, keep: frozenset[str], origins: Mapping[str, Origin]) -> None:
        """Remove the copies that neither of the two names, and that are not held.

        The same two objects as the last time are taken for unchanged, which keeps idle rounds idle.
        """
        if self._swept is not None and self._swept[0] is keep and self._swept[1] is origins:
            return
        wanted = keep.union(origins)
        spared = wanted.union(*self._held.values())
        for name in self._there - spared:
            (self._folder / name).unlink(missing_ok=True)
        self._there &= spared
        # What was held is looked at again.
        self._swept = (keep, origins) if self._there <= wanted else None

    @property
    def _draft(self) -> Path:
        return self._folder / "draft"

    def _copied(self, path: str) -> tuple[Content, Origin]:
        with self._draft.open("wb", buffering=0) as out:
            content = read_steady(path, lambda data, offset: os.pwrite(out.fileno(), data, offset))
            out.truncate(content.size)
        self._draft.replace(self._folder / content.digest)
        self._there.add(content.digest)
        return content, self.origin(content.digest)
