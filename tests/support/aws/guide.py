"""A guide as something that can be followed: its files, and its commands, in their order."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
_SECONDS = 900


@dataclass(frozen=True)
class Step:
    """One block.

    :ivar file: where it is written to; empty for commands.
    """

    file: str
    text: str


@dataclass
class Follower:
    """Somebody who follows a guide in a folder, in one shell.

    :ivar instead: what is written otherwise than it stands there, such as addresses.
    """

    folder: Path
    environment: Mapping[str, str]
    instead: Mapping[str, str]

    def do(self, step: Step) -> str:
        """Write a file, or run commands; return what they printed.

        :raises AssertionError: when a command fails, with what it said.
        """
        text = step.text
        for old, new in self.instead.items():
            text = text.replace(old, new)
        if step.file:
            path = self.folder / step.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return ""
        return self.run(text)

    def run(self, commands: str) -> str:
        """Run commands in the shell, whose environment stays for the next ones."""
        kept = self.folder / ".environment"
        before = f"source {kept}\n" if kept.exists() else ""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{before}{commands}\nexport -p >{kept}"],
            cwd=self.folder, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}{done.returncode}\n{done.stdout}"
        return done.stdout


def steps(guide: Path) -> list[Step]:
    """Return the blocks of a guide.

    :raises AssertionError: when a block is neither a file nor commands.
    """
    found = []
    for block in _BLOCK.finditer(guide.read_text(encoding="utf-8")):
        assert block["file"] or block["kind"] == "sh", block["text"]
        found.append(Step(block["file"] or "", block["text"]))
    return found
