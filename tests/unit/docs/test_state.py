"""Every kind of state is described, and what the page shows is accepted."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from foreshadow.domain.spec import parse_resource
from foreshadow.domain.units import format_duration, parse_size
from foreshadow.sync.captures import load_captures
from foreshadow.sync.command import CommandOptions
from foreshadow.sync.files import FilesOptions
from foreshadow.sync.profile import ProfileOptions
from foreshadow.sync.redis import RedisOptions
from foreshadow.sync.sqlite import SqliteOptions

PAGE = (Path(__file__).resolve().parents[3] / "docs/state.md").read_text(encoding="utf-8")


def shown() -> list[dict[str, Any]]:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    state: list[dict[str, Any]] = yaml.safe_load(block)["state"]
    return state


def test_the_example_is_accepted_and_has_every_kind() -> None:
    raw = {
        "name": "checkout",
        "primary": "edge-a",
        "service": {
            "command": ["/bin/true"],
            "port": 1,
            "profile": {"url": "http://{address}:{port}/", "query": "[]"},
        },
        "state": shown(),
    }
    captures = load_captures(parse_resource(raw).state)
    assert len(captures) == len(shown())
    kinds = {entry["kind"] for entry in shown()}
    assert kinds == set(entry_points(group="foreshadow.capture").names)


OPTIONS: dict[str, type[BaseModel]] = {
    "command": CommandOptions,
    "files": FilesOptions,
    "profile": ProfileOptions,
    "redis": RedisOptions,
    "sqlite": SqliteOptions,
}


def test_every_kind_has_a_section_that_names_its_options() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert sections.keys() == OPTIONS.keys()
    for kind, model in OPTIONS.items():
        examples = {key for entry in shown() if entry["kind"] == kind for key in entry}
        named = set(re.findall(r"`(\w+)", sections[kind])) | examples
        assert model.model_fields.keys() <= named, kind


def test_the_defaults_that_it_tells_are_those_of_the_code() -> None:
    def default(model: Any, name: str) -> Any:
        return model.model_fields[name].default

    assert f"`wait` ({format_duration(default(SqliteOptions, 'wait'))})" in PAGE
    assert f"`timeout` ({format_duration(default(CommandOptions, 'timeout'))})" in PAGE
    (size,) = re.findall(r"print\n`max_size` \((\w+)\)", PAGE)
    assert parse_size(size) == default(CommandOptions, "max_size")
    assert f"`max_keys` ({default(RedisOptions, 'max_keys')})" in PAGE
