"""What others do with the same machines, in an environment of its own: Ansible's package, and AWS.

It lies below ``build`` and is made when it is first needed: the collections that come with the
package ``ansible``, and the AWS command line, read and write there what ours do, with other code.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.terraform import ROOT, MissingError

ENVIRONMENT = ROOT / "build" / "peer"
WANTED = ("ansible==12.*", "awscli==1.*", "boto3")
"""The release that brings the ansible-core of this collection's own tests; ``amazon.aws`` asks
with boto3."""


def peer_programs() -> Path:
    """Return the folder with ``aws``, ``ansible-playbook`` and ``python``.

    :raises MissingError: when they cannot be installed.
    """
    programs = ENVIRONMENT / "bin"
    made = ENVIRONMENT / ".made"
    if made.exists():
        return programs
    wanted = ", ".join(WANTED)
    print(f"Installing {wanted} into {ENVIRONMENT}")
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    pip: list[str | Path] = [programs / "python", "-m", "pip", "install", "-q", *WANTED]
    if subprocess.run(pip, check=False).returncode:
        raise MissingError(f"{wanted} cannot be installed from the package index")
    made.touch()
    return programs
