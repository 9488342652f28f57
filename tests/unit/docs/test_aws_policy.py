"""The policy in ``docs/aws.md`` allows what the code asks for, and nothing more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "src" / "foreshadow"
PREFIXES = {"elbv2": "elasticloadbalancing"}
_REQUEST = re.compile(
    r"\.(?:read|pages|write)\(\s*(?:\"(\w+)\"|(_[A-Z0-9]+)),\s*\"([A-Z]\w+)\"", re.MULTILINE
)
_HOST_OF = "aws:ResourceTag/foreshadow:host"
_CONSTANT = re.compile(r"^(_[A-Z0-9]+) = \"(\w+)\"$", re.MULTILINE)


def policy() -> dict[str, Any]:
    text = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = json.loads(block)
    return found


def allowed() -> set[str]:
    return {action for statement in policy()["Statement"] for action in statement["Action"]}


def asked() -> set[str]:
    """Return the actions of every request in the code."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        constants = dict(_CONSTANT.findall(text))
        for literal, constant, action in _REQUEST.findall(text):
            service = literal or constants[constant]
            found.add(f"{PREFIXES.get(service, service)}:{action}")
    return found


def test_it_allows_what_is_asked_for_and_nothing_more() -> None:
    assert len(asked()) > 10
    assert allowed() == asked()


def test_it_allows_no_wildcard_action_and_writes_only_to_named_resources() -> None:
    assert not any("*" in action for action in allowed())
    for statement in policy()["Statement"]:
        writes = [a for a in statement["Action"] if not re.search(r":(Describe|List|Get)", a)]
        if writes:
            assert statement["Resource"] != "*", statement["Sid"]


def test_who_may_tag_a_machine_may_not_make_that_of_somebody_else_its_own() -> None:
    kept = [s for s in policy()["Statement"] if "ec2:TerminateInstances" in s["Action"]]
    assert [list(s["Condition"]["StringEquals"]) for s in kept] == [[_HOST_OF]]
    tagging = [s for s in policy()["Statement"] if "ec2:CreateTags" in s["Action"]]
    assert tagging
    for statement in tagging:
        asked_of = statement["Condition"]["StringEquals"]
        assert _HOST_OF in asked_of or asked_of.get("ec2:CreateAction") == "RunInstances"


def test_it_changes_no_other_records_of_the_zone() -> None:
    (statement,) = [
        s for s in policy()["Statement"] if "route53:ChangeResourceRecordSets" in s["Action"]
    ]
    (names,) = statement["Condition"]["ForAllValues:StringEquals"].values()
    assert names == ["www.shop.example", "_foreshadow.www.shop.example"]
