"""Each Terraform module tells its inputs and outputs, and is formatted."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[3] / "terraform"
_DECLARED = re.compile(r"^(?:variable|output) .*?^}", re.MULTILINE | re.DOTALL)
MODULES = sorted(path.parent for path in SOURCES.glob("modules/*/main.tf"))


def declared(module: Path, kind: str) -> set[str]:
    """Return the names of the variables or outputs of a module."""
    text = "\n".join(path.read_text() for path in module.glob("*.tf"))
    return set(re.findall(rf'^{kind} "(\w+)"', text, re.MULTILINE))


def told(module: Path, heading: str) -> set[str]:
    """Return the names in the first column of the table with this heading."""
    text = (module / "README.md").read_text()
    table = text[text.index(f"| {heading} |") :].split("\n\n")[0]
    rows = table.splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
@pytest.mark.parametrize(("kind", "heading"), [("variable", "input"), ("output", "output")])
def test_the_readme_tells_each_and_no_other(module: Path, kind: str, heading: str) -> None:
    assert declared(module, kind) == told(module, heading) != set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_each_says_what_it_is(module: Path) -> None:
    for path in module.glob("*.tf"):
        for block in _DECLARED.findall(path.read_text()):
            assert re.search(r'^  description *= "', block, re.MULTILINE), block


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on PATH")
def test_all_is_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", "-no-color"],
        cwd=SOURCES, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
