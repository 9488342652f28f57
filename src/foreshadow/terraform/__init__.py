"""The one adapter around python-terraform.

python-terraform builds arguments and var files; it does not run anything here. Changes are made
by saved plans only, everything is read through ``show -json``, and each command has a deadline.
"""

from __future__ import annotations

from foreshadow.terraform.project import Plan, Project, read_state_file
from foreshadow.terraform.state import Output, Resource, Snapshot

__all__ = ["Output", "Plan", "Project", "Resource", "Snapshot", "read_state_file"]
