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
from foreshadow.sync.layers import (
    LEAST,
    Blocks,
    Compared,
    Layer,
    Layered,
    QuickHasher,
    compare,
    differing,
)
from foreshadow.sync.patches.ranges import Ranges
from foreshadow.sync.patches.spans import InFile, Spans
from foreshadow.sync.reading import Content, Stamp, open_file, read_steady

_PAGES = ".pages"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that holds a content; with a stamp, only for as long as the file still has it.

    :ivar layer: the file only has the pages of the content's own; ``base`` has the others.
    """

    path: str
    stamp: Stamp | None = None
    layer: Layer | None = None
    base: str = ""

    def read(self, offset: int, size: int, slice_size: int) -> Iterator[bytes]:
        """Give the bytes from ``offset`` to ``size`` in slices.

        :raises SyncError: when the file is gone or is no longer what was hashed.
        """
        with self.opened() as spans:
            while offset < size:
                data = spans.read(offset, min(offset + slice_size, size))
                if not data:
                    raise self._changed()
                offset += len(data)
                yield data

    @contextlib.contextmanager
    def opened(self) -> Iterator[Spans]:
        """Give the bytes of the content.

        :raises SyncError: when the file is gone, or is no longer what was hashed, also afterwards.
        """
        try:
            with open_file(self.path) as descriptor:
                self._check(descriptor)
                try:
                    if self.layer is None:
                        yield InFile(descriptor)
                    else:
                        with open_file(self.base) as base:
                            yield Layered(self.layer, InFile(descriptor), InFile(base))
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
        self._blocks: dict[str, Blocks] = {}
        self._layers: dict[str, Layer] = {}
        self._prepared = False

    def prepare(self) -> None:
        """Make the folder, so that only a state file can be the one that is not there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._prepared:  # what an agent before this one knew of layers has gone with it
            for path in self._folder.glob(f"*{_PAGES}"):
                path.unlink()
            self._prepared = True
        self._there = set(os.listdir(self._folder))  # noqa: PTH208 - paths of thousands of names are slow to make

    def read(
        self, path: str, *, copy: bool, known: str | None = None, before: str | None = None
    ) -> tuple[Content, Origin]:
        """Hash a file, and copy it meanwhile when asked to and where there is room.

        Of a large file that changed little since the last time, only what changed is copied.

        :param known: what it probably holds still; when there is a copy of that, none is made.
        :param before: what it held the last time.
        :raises FileNotFoundError: when it is gone.
        :raises SyncError: when it cannot be read.
        """
        compared = self._compared(path, before, copy=copy) if before is not None else None
        if compared is not None:
            return compared
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
        return digest in self._there or self._is_layered(digest)

    def origin(self, digest: str) -> Origin:
        """Return the copy of a content that is there."""
        if digest in self._there or not self._is_layered(digest):
            return Origin(f"{self._folder}/{digest}")
        layer = self._layers[digest]
        base = f"{self._folder}/{layer.base}"
        return Origin(f"{self._folder}/{digest}{_PAGES}", None, layer, base)

    def differing(self, one: str, other: str) -> Ranges | None:
        """Return where two contents may differ; ``None`` when that is not known."""
        layers = [self._layers.get(digest, Layer(digest, (), 0)) for digest in (one, other)]
        return differing(*layers)

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
        spared = spared.union(*(self._names(digest) for digest in spared if digest in self._layers))
        for name in self._there - spared:
            (self._folder / name).unlink(missing_ok=True)
        self._there &= spared
        self._layers = {d: layer for d, layer in self._layers.items() if d in spared}
        self._blocks = {d: blocks for d, blocks in self._blocks.items() if d in spared}
        # What was held is looked at again.
        wanted = wanted.union(*(self._names(digest) for digest in wanted if digest in self._layers))
        self._swept = (keep, origins) if self._there <= wanted else None

    @property
    def _draft(self) -> Path:
        return self._folder / "draft"

    def _copied(self, path: str) -> tuple[Content, Origin]:
        hashes = QuickHasher()
        with self._draft.open("wb", buffering=0) as out:

            def take(data: bytes, offset: int) -> None:
                os.pwrite(out.fileno(), data, offset)
                if is_large:
                    hashes.feed(data, offset)

            is_large = os.lstat(path).st_size >= LEAST
            content = read_steady(path, take)
            out.truncate(content.size)
        self._draft.replace(self._folder / content.digest)
        self._there.add(content.digest)
        if (blocks := hashes.blocks(content)) is not None:
            self._blocks[content.digest] = blocks
        return content, self.origin(content.digest)

    def _compared(self, path: str, before: str, *, copy: bool) -> tuple[Content, Origin] | None:
        """Hash and copy what changed of a large file, if that is less than all of it."""
        blocks = self._blocks.get(before)
        if blocks is None or not self.has(before):
            return None
        layer = self._layers.get(before) or Layer(before, (), 0)
        try:
            with (
                open_file(path) as descriptor,
                open_file(f"{self._folder}/{layer.base}") as base,
                self._draft.open("wb") if copy else contextlib.nullcontext() as out,
            ):
                found = compare(descriptor, blocks, layer, InFile(base), out)
            if found is not None:
                return self._layered(path, found, copy=copy)
        except (OSError, EOFError):
            return None  # the other way tells, should it be in the way there too
        finally:
            self._draft.unlink(missing_ok=True)
        return None

    def _layered(self, path: str, found: Compared, *, copy: bool) -> tuple[Content, Origin]:
        """Keep what was found of a file that changed; its own pages are in the draft."""
        digest = found.content.digest
        if self.has(digest):
            return found.content, self.origin(digest)
        self._layers[digest] = found.layer
        if not copy:
            return found.content, Origin(path, found.content.stamp)
        self._draft.replace(self._folder / f"{digest}{_PAGES}")
        self._there.add(f"{digest}{_PAGES}")
        self._blocks[digest] = found.blocks
        return found.content, self.origin(digest)

    def _is_layered(self, digest: str) -> bool:
        return digest in self._layers and self._names(digest) <= self._there

    def _names(self, digest: str) -> set[str]:
        """Return the names of the files that a layered content is read from."""
        return {f"{digest}{_PAGES}", self._layers[digest].base}
