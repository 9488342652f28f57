"""What the page about Cloudflare shows is accepted as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from foreshadow.directors.cloudflare.options import (
    DnsOptions,
    LbOptions,
    parse_options,
    record_data,
)
from foreshadow.domain.secrets import refuse_secrets
from foreshadow.domain.spec import DirectorSpec
from tests.unit.switchover.world import spec_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cloudflare.md"
SHOWN: list[dict[str, Any]] = [
    director
    for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for director in yaml.safe_load(block)["directors"]
]


@pytest.mark.parametrize("written", SHOWN, ids=lambda one: str(one["kind"]))
def test_each_director_that_is_shown_is_accepted(written: dict[str, Any]) -> None:
    spec = DirectorSpec.model_validate(written)
    if written["kind"] == "cloudflare_dns":
        parse_options(DnsOptions, spec, "checkout")
        assert set(record_data(spec, "checkout")) == set(written["targets"])
    else:
        parse_options(LbOptions, spec, "checkout")
    refuse_secrets(spec_of(directors=[written]))


def test_both_are_shown_and_every_key_is_told() -> None:
    assert [one["kind"] for one in SHOWN] == ["cloudflare_dns", "cloudflare_lb"]
    text = PAGE.read_text(encoding="utf-8")
    for model in (DnsOptions, LbOptions):
        for key in model.model_fields:
            assert re.search(rf"[`\s]{key}[`:]", text), key
