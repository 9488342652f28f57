"""Contents on their way in, by digest: what is shorter than declared is resumed at its end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from foreshadow.domain.errors import SyncError
from foreshadow.sync.digests import Hasher
from foreshadow.sync.durable import clone_file, remove_tree
from foreshadow.sync.patches.spans import InFile
from foreshadow.sync.reading import SLICE, open_file, read_steady
from foreshadow.sync.rebuild import Made, brought_up, written
from foreshadow.sync.spares import Spares


class Staging:
    """The private folder of what is being received; it survives a round that breaks off.

    :param folder: made when it is first needed.
    :param spares: files that may become contents.
    """

    def __init__(self, folder: Path, spares: Spares) -> None:
        self._folder = folder
        self._spares = spares
        self._contents = folder / "contents"
        self._verified: set[str] = set()
        self._hashers: dict[str, Hasher] = {}

    @property
    def tree(self) -> Path:
        """Where the next version is put together."""
        return self._folder / "tree"

    def open(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Make ready for contents of these sizes and return how much of each is there.

        Contents that are no longer wanted go; one that is complete but does not verify goes too.
        """
        self._contents.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hashers.clear()
        for path in self._contents.iterdir():
            if path.name not in sizes or path.stat().st_size > sizes[path.name]:
                remove_tree(path)
                self._verified.discard(path.name)
        return {digest: self._there(digest, size) for digest, size in sizes.items()}

    def path(self, digest: str) -> Path:
        """Return where a content is."""
        return self._contents / digest

    def write(self, digest: str, size: int, offset: int, data: bytes) -> bool:
        """Append to a content; return whether it is complete and verified now.

        :raises SyncError: when the data does not continue it, is too long, or does not verify;
            then nothing of the content is kept.
        """
        path = self.path(digest)
        there = path.stat().st_size if path.exists() else 0
        if offset != there or not data or offset + len(data) > size:
            raise _corrupt(f"{len(data)} bytes at {offset} do not follow {there} of {size}")
        hasher = self._hasher(digest, there)
        hasher.update(data)
        if there + len(data) == size and hasher.hexdigest() != digest:
            self.discard(digest)
            raise _corrupt("its bytes do not have the hash that was offered")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(path, flags, 0o600), "wb") as out:  # noqa: PTH123
                out.write(data)
        except OSError:
            self._hashers.pop(digest, None)
            raise
        if there + len(data) < size:
            return False
        self._hashers.pop(digest, None)
        self._verified.add(digest)
        self._spares.learn(digest, hasher.table())
        return True

    def begin(self, digest: str, old: str) -> None:
        """Let a content begin with an older one, which is a file that nobody writes to."""
        clone_file(Path(old), self.path(digest))

    def patch(self, digest: str, size: int, base: str, old: str, patch: bytes) -> None:
        """Make a content out of an older one and verify it.

        :param base: digest of the older content; ``old`` is a file with it that nobody writes to.
        :raises SyncError: when the patch does not make it; then nothing of the content is kept.
        """
        self.discard(digest)
        draft = self._contents / "draft"
        try:
            with open_file(old) as descriptor:
                content = InFile(descriptor)
                if self._made_of_spare(digest, size, base, content, patch):
                    return
                made = written(draft, patch, content, size)
            if made.digest != digest:
                raise _corrupt("a patch does not make what was offered")
            draft.replace(self.path(digest))
        except (EOFError, FileNotFoundError):
            raise _corrupt("what a patch builds on is no longer here") from None
        finally:
            draft.unlink(missing_ok=True)
        self._verified.add(digest)
        self._spares.learn(digest, made.table, base, made.changed)

    def _made_of_spare(self, digest: str, size: int, base: str, old: InFile, patch: bytes) -> bool:
        """Return whether a spare could be made what is wanted; if not, nothing is left of it.

        :raises SyncError: when the patch is refused.
        """
        spare = self._spares.take(base)
        if spare is None:
            return False
        made: Made | None = None
        try:
            with contextlib.suppress(OSError):  # such as a full disk: what is read is elsewhere
                made = brought_up(spare, patch, old, size)
            if made is None or made.digest != digest:
                return False
            spare.path.replace(self.path(digest))
        finally:
            spare.path.unlink(missing_ok=True)
        self._verified.add(digest)
        self._spares.learn(digest, made.table, base, made.changed, spare.read_at)
        return True

    def adopt(self, source: Path, wanted: Mapping[str, int]) -> str | None:
        """Take in the content of a file on this host when it is one that is wanted."""
        draft = self._contents / "draft"
        with contextlib.suppress(FileNotFoundError, SyncError), draft.open("wb", 0) as out:
            content = read_steady(source, lambda data, at: os.pwrite(out.fileno(), data, at))
            out.truncate(content.size)
            if wanted.get(content.digest) == content.size:
                draft.replace(self.path(content.digest))
                self._hashers.pop(content.digest, None)
                self._verified.add(content.digest)
                return content.digest
        draft.unlink(missing_ok=True)
        return None

    def discard(self, digest: str) -> None:
        """Forget a content."""
        self._hashers.pop(digest, None)
        self._verified.discard(digest)
        self.path(digest).unlink(missing_ok=True)

    @contextlib.contextmanager
    def fresh_tree(self) -> Iterator[Path]:
        """Give an empty folder for the next version; it goes unless it was moved away."""
        remove_tree(self.tree)
        self.tree.mkdir(mode=0o700, parents=True)
        try:
            yield self.tree
        finally:
            remove_tree(self.tree)

    def clear(self) -> None:
        """Remove everything."""
        remove_tree(self._folder)
        self._verified.clear()
        self._hashers.clear()

    def _there(self, digest: str, size: int) -> int:
        path = self.path(digest)
        there = path.stat().st_size if path.exists() else 0
        if there == size and digest not in self._verified:
            if read_steady(path).digest != digest:
                self.discard(digest)
                return 0
            self._verified.add(digest)
        return there

    def _hasher(self, digest: str, there: int) -> Hasher:
        if digest not in self._hashers:
            hasher = Hasher()
            if there:
                with self.path(digest).open("rb", 0) as stream:
                    while data := stream.read(SLICE):
                        hasher.update(data)
            self._hashers[digest] = hasher
        return self._hashers[digest]


def _corrupt(problem: str) -> SyncError:
    return SyncError(problem, where="content that was sent", remedy="the next round sends it again")
