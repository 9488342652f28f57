"""Whether something happened in a tree, as the kernel tells it: a quiet tree need not be walked.

What inotify does not see is for others to find: writes through a memory map, through a hard link
elsewhere, or from another machine on a shared file system.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from inotify_simple import INotify, flags

_MASK = (
    flags.MODIFY | flags.ATTRIB | flags.CLOSE_WRITE | flags.CREATE | flags.DELETE
    | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF
    | flags.ONLYDIR | flags.DONT_FOLLOW | flags.EXCL_UNLINK
)  # fmt: skip
_BEYOND_ONE_NAME = flags.Q_OVERFLOW | flags.IGNORED | flags.UNMOUNT | flags.ISDIR
LARGE = 64 * 1024
"""Bytes from which on a file is looked at in each round: such are written through memory maps."""

_RETRY = 600.0
"""Seconds after which watching is tried again where it was not possible."""


class TreeWatch:
    """Watches the folders of one tree, from one walk to the next.

    The walk calls :meth:`begin`, and :meth:`add` for each folder before it lists it: what happens
    from then on is seen. When the kernel cannot watch them all, the tree is never quiet.

    :param ignored: says of a path, relative to the root, that nobody asks about it.
    """

    def __init__(self, ignored: Callable[[str], bool]) -> None:
        self._ignored = ignored
        self._inotify: INotify | None = None
        self._closing: threading.Thread | None = None
        self._folders: dict[int, str] = {}
        self._root: tuple[Path, int, int] | None = None
        self._not_before = 0.0
        self.problem = ""
        """Why the tree is not watched, in words; empty when it is."""

    def is_quiet(self, root: Path) -> bool:
        """Return whether nothing happened since the last walk was begun; asks the kernel once.

        :raises OSError: when the root is not there.
        """
        if self._inotify is None or self._root != _identity(root):
            return False
        quiet = True
        for event in self._inotify.read(timeout=0):
            if event.mask & _BEYOND_ONE_NAME or not event.name:
                quiet = False
                if event.mask & (flags.MOVED_FROM | flags.Q_OVERFLOW):
                    self._root = None  # a folder that moved away is watched where it is now
            elif quiet:
                folder = self._folders.get(event.wd, "")
                quiet = self._ignored(f"{folder}/{event.name}" if folder else event.name)
        return quiet

    def begin(self, root: Path) -> None:
        """Begin a walk.

        :raises OSError: when the root is not there.
        """
        identity = _identity(root)
        if self._inotify is not None and self._root != identity:
            self._close()
        self._root = identity
        if self._inotify is None and time.monotonic() >= self._not_before:
            try:
                self._inotify = self._opened()
                self.problem = ""
            except OSError as error:
                self._give_up(error)

    def add(self, path: Path, inner: str) -> None:
        """Watch a folder that is about to be listed; ``inner`` is its path below the root."""
        if self._inotify is None:
            return
        try:
            self._folders[self._inotify.add_watch(path, _MASK)] = inner
        except FileNotFoundError:
            return  # gone since it was seen, as its parent tells
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        limit = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}
        name = limit.get(error.errno or 0)
        raised = f"raise fs.inotify.{name}" if name else os.strerror(error.errno or 0).lower()
        self.problem = f"the kernel does not watch all of its folders ({raised})"
        self._not_before = time.monotonic() + _RETRY
        self._close()

    def _opened(self) -> INotify:
        """Return a new instance; where there are too many, once the one of before has gone.

        :raises OSError: when the kernel gives none.
        """
        try:
            return INotify()
        except OSError:
            if self._closing is None:
                raise
            self._closing.join()
            return INotify()

    def _close(self) -> None:
        """Let the instance go, and do not wait: the kernel takes 15 ms or more to close one."""
        if self._inotify is not None:
            self._closing = threading.Thread(target=self._inotify.close, daemon=True)
            self._closing.start()
        self._inotify = None
        self._folders = {}


def _identity(root: Path) -> tuple[Path, int, int]:
    status = root.lstat()
    return root, status.st_dev, status.st_ino
