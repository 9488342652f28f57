"""Where the source reads contents from when it sends them.

A file that was not seen to change is read where it lies, and refused when it is no longer what was
hashed. One that did change is copied while it is hashed, so that what was offered can be sent
whatever happens to the file meanwhile. Each content is kept once, under its digest.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.errors import SyncError
from foreshadow.sync.reading import Content, Stamp, open_file, read_steady


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that holds a content; with a stamp, only for as long as the file still has it."""

    path: str
    stamp: Stamp | None = None

    def read(self, offset: int, size: int, slice_size: int) -> Iterator[bytes]:
        """Give the bytes from ``offset`` to ``size`` in slices.

        :raises SyncError: when the file is gone or is no longer what was hashed.
        """
        try:
            with open_file(self.path) as descriptor:
                self._check(descriptor)
                while offset < size:
                    data = os.pread(descriptor, min(slice_size, size - offset), offset)
                    if not data:
                        raise self._changed()
                    offset += len(data)
                    yield data
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
    """Copies of contents that are about to be sent, by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: Counter[str] = Counter()

    def prepare(self) -> None:
        """Make the folder, so that only a state file can be the one that is not there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self, path: str, *, copy: bool) -> tuple[Content, Origin]:
        """Hash a file, and copy it meanwhile when asked to.

        :raises FileNotFoundError: when it is gone.
        :raises SyncError: when it cannot be read.
        """
        if not copy:
            content = read_steady(path)
            return content, Origin(path, content.stamp)
        draft = self._folder / "draft"
        with draft.open("wb", buffering=0) as out:
            content = read_steady(path, lambda data, offset: os.pwrite(out.fileno(), data, offset))
            out.truncate(content.size)
        draft.replace(self._folder / content.digest)
        return content, self.origin(content.digest)

    def has(self, digest: str) -> bool:
        """Return whether there is a copy of a content."""
        return (self._folder / digest).exists()

    def origin(self, digest: str) -> Origin:
        """Return the copy of a content that is there."""
        return Origin(str(self._folder / digest))

    @contextlib.contextmanager
    def hold(self, origins: Iterable[Origin]) -> Iterator[None]:
        """Keep the copies among these from being swept."""
        paths = [origin.path for origin in origins if origin.stamp is None]
        self._held.update(paths)
        try:
            yield
        finally:
            self._held.subtract(paths)
            self._held = +self._held

    def sweep(self, origins: Iterable[Origin]) -> None:
        """Remove the copies that neither these origins nor a snapshot in flight need."""
        wanted = {origin.path for origin in origins if origin.stamp is None}
        for kept in self._folder.iterdir():
            if str(kept) not in wanted and self._held[str(kept)] <= 0:
                kept.unlink()
