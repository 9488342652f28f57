# Copyright: Foreshadow developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the collection out the way Ansible finds it, in one of two ways.

`link DEST` makes DEST/ansible_collections/foreshadow/core a folder of links into this checkout, for
playbooks and linters, which then see every edit at once. It links what ships, one entry at a time:
a link to the whole checkout would contain itself.

`copy DEST` copies there what ships and git does not ignore, for ansible-test and antsibull-docs,
which refuse links.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePath

import yaml

ROOT = Path(__file__).resolve().parent.parent
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
# Not shipped, but read by ansible-test.
TEST_CONFIG = "tests/config.yml"


def ships(path: PurePath) -> bool:
    """Tell whether `ansible-galaxy collection build` would take this path, by its own rule."""
    chain = [str(step) for step in (path, *path.parents)]
    return not any(
        fnmatch(step, pattern)
        for step in chain
        for pattern in GALAXY["build_ignore"]
        if step != "."
    )


def known_to_git() -> Iterator[PurePath]:
    """List the files that are tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return (
        PurePath(name) for name in sorted(set(out.split("\0"))) if name and (ROOT / name).exists()
    )


def link(core: Path) -> None:
    """Bring the folder of links up to date; what is right stays, as a playbook may be using it."""
    core.mkdir(parents=True, exist_ok=True)
    wanted = {path.parts[0] for path in known_to_git() if ships(path)}
    present = {entry.name for entry in core.iterdir()}
    for name in present - wanted:
        (core / name).unlink()
    for name in wanted - present:
        (core / name).symlink_to(ROOT / name)


def copy(core: Path) -> None:
    """Make the copy anew."""
    shutil.rmtree(core, ignore_errors=True)
    core.mkdir(parents=True)
    for path in known_to_git():
        if ships(path) or str(path) == TEST_CONFIG:
            (core / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, core / path)
    # ansible-test asks git for the files. Without a repository here it would find that of the
    # checkout, which ignores the copy.
    subprocess.run(["git", "init", "--quiet", str(core)], check=True)


def main() -> None:
    """Do what the two arguments say."""
    how = {"link": link, "copy": copy}[sys.argv[1]]
    core = (
        Path(sys.argv[2]).resolve() / "ansible_collections" / GALAXY["namespace"] / GALAXY["name"]
    )
    how(core)


if __name__ == "__main__":
    main()
