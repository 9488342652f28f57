"""Where the state of an instance lies on the agent's disk.

In the folder of its resource::

    versions/N/       an applied version of the state, never changed; 0 is empty
    current           -> versions/N, the newest one
    live              what {state} stands for: -> current on a shadow,
                      -> writable-T on a primary, a copy of its own made under the token T
    spares/           large files of versions that went, of which next ones are made
    prepared-N        a copy of version N for the next promotion, made ahead of it
    service.log       what the service writes to its standard output and error

Links are flipped by a rename: whoever reads sees the one or the other.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from foreshadow.sync.durable import clone_file, remove_tree

_WRITABLE = "writable-"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one resource on this agent, and the moves between them.

    :ivar folder: ``{state_dir}/resources/<resource>``.
    """

    folder: Path

    @property
    def versions(self) -> Path:
        """The folder of applied versions."""
        return self.folder / "versions"

    @property
    def current(self) -> Path:
        """The link to the newest applied version."""
        return self.folder / "current"

    @property
    def live(self) -> Path:
        """The link that ``{state}`` stands for."""
        return self.folder / "live"

    @property
    def log(self) -> Path:
        """The file with the service's output."""
        return self.folder / "service.log"

    @property
    def old_log(self) -> Path:
        """The file with its output before that."""
        return self.folder / "service.log.1"

    def version(self) -> int:
        """Return the number of the newest applied version; 0 before the first."""
        try:
            return int(self.current.readlink().name)
        except (OSError, ValueError):
            return 0

    def is_writable(self) -> bool:
        """Return whether ``live`` is a copy of its own, not an applied version."""
        return self.live.is_symlink() and self.live.readlink().name.startswith(_WRITABLE)

    def prepare_shadow(self) -> None:
        """Make the folders of a shadow that has no version yet; what is there stays."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.versions / "0").mkdir(parents=True, exist_ok=True)
        if not self.current.is_symlink():
            _point(self.current, Path("versions/0"))
        if not self.live.is_symlink():
            _point(self.live, Path("current"))

    def prepare_primary(self) -> None:
        """Make the folders of the first primary; state that was put in ``writable-0`` stays."""
        if not self.live.is_symlink():
            first = Path(f"{_WRITABLE}0")
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / first).mkdir(exist_ok=True)
            _point(self.live, first)
        self.prepare_shadow()

    def make_writable(self, token: int, *, superseded: bool, prepared: Path | None = None) -> None:
        """Give ``live`` a writable copy of the current version.

        :param prepared: such a copy, which is moved; else one is made.
        :param superseded: whether a version was applied since this was last the primary. If not,
            what it wrote then is the newest state that there is, and is taken up again.
        """
        written = self._written()
        if superseded or not written:
            self.follow_versions()
            self.drop_written()
            fresh = self.folder / f"{_WRITABLE}{token}"
            partial = prepared or self.folder / f".{fresh.name}.partial"
            if prepared is None:
                remove_tree(partial)
                copy_tree(self.current, partial)
            partial.rename(fresh)
            written = [fresh]
        _point(self.live, Path(written[-1].name))

    def has_written(self) -> bool:
        """Return whether a writable copy of a former primary is there."""
        return bool(self._written())

    def follow_versions(self) -> None:
        """Let ``live`` follow the applied versions again; what was written stays for now."""
        _point(self.live, Path("current"))

    def drop_written(self) -> None:
        """Remove what a former primary wrote, unless ``live`` is on it."""
        if not self.is_writable():
            for folder in self._written():
                remove_tree(folder)

    def _written(self) -> list[Path]:
        """Return the writable copies, the one of the newest token last."""
        found = [path for path in self.folder.glob(f"{_WRITABLE}*") if path.is_dir()]
        return sorted(found, key=lambda path: int(path.name.removeprefix(_WRITABLE)))

    def give_to(self, user: int, group: int) -> None:
        """Let a service that runs as another user own the folder and what is live in it."""
        os.chown(self.folder, user, group)
        for folder, _, names in os.walk(self.live.resolve()):
            for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
                os.chown(path, user, group, follow_symlinks=False)

    def remove(self) -> None:
        """Remove all of it."""
        remove_tree(self.folder)


def _point(link: Path, target: Path) -> None:
    """Make a link point somewhere else, in one step, unless it does already."""
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.fresh")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with its links, modes and times, sharing blocks where the file system can."""
    shutil.copytree(source, target, symlinks=True, copy_function=copy_file)


def copy_file(source: str, target: str) -> str:
    """Copy one file in the same way, and return the target."""
    clone_file(Path(source), Path(target))
    shutil.copystat(source, target)
    return target
