"""Writing so that it is there after a crash, and copying without sharing an inode."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_FICLONE = 0x40049409
_MANY = 64
_LIBC = ctypes.CDLL(None, use_errno=True)


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a whole file by a rename, so that nobody ever reads half of it."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as stream:
        stream.write(data)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
    fresh.replace(path)
    if durable:
        sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Flush a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Iterable[Path], root: Path) -> None:
    """Flush these paths under ``root``: one by one, or the whole file system when they are many."""
    wanted = list(paths)
    if len(wanted) <= _MANY:
        for path in wanted:
            sync_path(path)
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(descriptor)


def clone_file(source: Path, target: Path) -> None:
    """Copy a file's content to a new file of its own, sharing blocks where the file system can."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(read, "rb") as old, open(os.open(target, flags, 0o600), "wb") as new:  # noqa: PTH123
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1024 * 1024)


def remove_tree(path: Path) -> None:
    """Remove a tree, also one whose directories are not writable; a missing one is fine."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = Path(folder, name)
            if not inner.is_symlink():
                with contextlib.suppress(OSError):
                    inner.chmod(0o700)
    with contextlib.suppress(FileNotFoundError):
        path.chmod(0o700)
        shutil.rmtree(path)
