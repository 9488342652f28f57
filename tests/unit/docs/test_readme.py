"""What the README shows is true: its inventory is one, and its resource is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from foreshadow.domain.fleet import parse_host
from foreshadow.domain.spec import parse_resource

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def inventory() -> dict[str, Any]:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(block)
    return found["all"]


def test_the_resource_of_the_inventory_is_accepted() -> None:
    (raw,) = inventory()["vars"]["foreshadow_resources"]
    assert parse_resource(raw).name == "checkout"


def test_the_hosts_of_the_inventory_are_accepted() -> None:
    children = inventory()["children"]
    for group in ("edge", "foreshadow_haproxy"):
        for name, variables in children[group]["hosts"].items():
            known = {
                key.removeprefix("foreshadow_"): value
                for key, value in variables.items()
                if key != "foreshadow_relay_sockets"  # of the role agent, not of the host
            }
            assert parse_host({"name": name, **known}).name == name


def test_every_playbook_and_link_is_there() -> None:
    for playbook in re.findall(r"`foreshadow\.core\.([a-z]+)` \|", README):
        assert (ROOT / "playbooks" / f"{playbook}.yml").exists()
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link
