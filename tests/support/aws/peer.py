"""The AWS command line, and the modules of ``amazon.aws``, in an environment of their own.

It lies below ``build`` and is made when it is first needed: others read and write there what ours
do, with other code.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.terraform import ROOT, MissingError

ENVIRONMENT = ROOT / "build" / "aws-peer"
WANTED = ("ansible==12.*", "awscli==1.*")
"""The release that brings the ansible-core of this collection's own tests; boto3 comes along."""


def peer_programs() -> Path:
    """Return the folder with ``aws``, ``ansible-playbook`` and ``python``.

    :raises MissingError: when they cannot be installed.
    """
    programs = ENVIRONMENT / "bin"
    made = ENVIRONMENT / ".made"
    if made.exists():
        return programs
    print(f"Installing {' and '.join(WANTED)} into {ENVIRONMENT}")
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    pip: list[str | Path] = [programs / "python", "-m", "pip", "install", "-q", *WANTED, "boto3"]
    if subprocess.run(pip, check=False).returncode:
        raise MissingError(f"{' and '.join(WANTED)} cannot be installed from the package index")
    made.touch()
    return programs
