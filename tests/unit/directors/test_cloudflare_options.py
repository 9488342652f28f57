"""What a person writes about a Cloudflare director, and what is said when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.directors.cloudflare.claim import Claim, digest, mark, marked_token, read_claim
from foreshadow.directors.cloudflare.options import (
    DnsOptions,
    LbOptions,
    parse_options,
    record_data,
)
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SpecError
from foreshadow.domain.secrets import refuse_secrets
from foreshadow.domain.spec import DirectorSpec
from tests.unit.switchover.world import spec_of

DNS: dict[str, Any] = {
    "kind": "cloudflare_dns",
    "zone_id": "a" * 32,
    "name": "www.example.com",
    "token_file": "/run/secrets/cloudflare",
    "check": {"port": 443, "path": "/healthz", "tls": True},
    "targets": {"edge-a": "192.0.2.11", "edge-b": "192.0.2.12"},
}
LB: dict[str, Any] = {
    "kind": "cloudflare_lb",
    "account_id": "b" * 32,
    "pools": ["1" * 32],
    "token_env": "CLOUDFLARE_TOKEN",
    "targets": {"edge-a": "a"},
}


def refused(raw: dict[str, Any], **changes: Any) -> str:
    written = {key: value for key, value in {**raw, **changes}.items() if value is not None}
    spec = DirectorSpec.model_validate(written)
    model = DnsOptions if raw is DNS else LbOptions

    def read() -> None:
        parse_options(model, spec, "checkout")
        record_data(spec, "checkout")

    with pytest.raises(SpecError) as caught:
        read()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"resource checkout, director {raw['kind']}")
    return line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"zone_id": None}, "zone_id: is required"),
        ({"zone_id": "example.com"}, "zone_id"),
        ({"name": "www"}, "write it with its zone"),
        ({"token_file": None}, "exactly one of token_file and token_env"),
        ({"token_env": "X"}, "exactly one of token_file and token_env"),
        ({"ttl": 10}, "no plan allows a ttl below 30"),
        ({"ttl": 100000}, "ttl"),
        ({"ttl": "90.5s"}, "ttl"),
        ({"proxied": True, "ttl": 60}, "leave ttl out"),
        ({"check": None}, "check: is required"),
        ({"targets": {}}, "targets: is required"),
        ({"targets": {"edge-a": "edge-a"}}, "neither an address nor a full name"),
        ({"targets": {"edge-a": "192.0.2.1,192.0.2.2"}}, "more than one IPv4"),
        ({"targets": {"edge-a": "192.0.2.1,a.example.net"}}, "more than one IPv4"),
        ({"targets": {"a": "192.0.2.1", "b": "192.0.2.1"}}, "is also the target of a"),
        ({"zoneid": "x"}, "did you mean zone_id?"),
        ({"base_url": "ftp://x"}, "begin it with http"),
        ({"deadline": 0}, "deadline"),
    ],
)
def test_malformed_dns_options_are_told_in_one_line(changes: dict[str, Any], told: str) -> None:
    assert told in refused(DNS, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pools": []}, "pools"),
        ({"pools": ["1" * 32, "1" * 32]}, "named twice"),
        ({"account_id": "me"}, "account_id"),
        ({"targets": {}}, "targets: is required"),
    ],
)
def test_malformed_pool_options_are_told_in_one_line(changes: dict[str, Any], told: str) -> None:
    assert told in refused(LB, **changes)


def test_a_token_in_the_spec_is_refused_and_a_place_for_it_is_not() -> None:
    refuse_secrets(spec_of(directors=[DNS, LB]))
    with pytest.raises(SpecError, match="looks like a secret") as caught:
        refuse_secrets(spec_of(directors=[{**DNS, "api_token": "x8sd7f6sd8f76"}]))
    assert "x8sd7f6sd8f76" not in str(caught.value)


def test_targets_become_record_data_by_type() -> None:
    spec = DirectorSpec.model_validate(
        {**DNS, "targets": {"a": "192.0.2.1, 2001:DB8::0:1", "b": "B.example.net."}}
    )
    assert record_data(spec, "checkout") == {
        "a": {"A": "192.0.2.1", "AAAA": "2001:db8::1"},
        "b": {"CNAME": "b.example.net"},
    }


def test_the_longest_mark_fits_every_plan() -> None:
    longest = "x" * 63
    assert len(mark(longest, 10**18)) <= 100
    assert marked_token(mark(longest, 10**18), longest) == 10**18
    assert marked_token(mark("shop", 3), "shop2") is None
    assert marked_token("foreshadow/shop token=3 (Ada)", "shop") is None


_hosts = st.lists(st.text("abcdefgh-", min_size=1, max_size=63), unique=True, max_size=17)


@given(
    ready=_hosts,
    kept=_hosts,
    left=_hosts,
    token=st.integers(0, 2**63),
    ttl=st.one_of(st.none(), st.integers(30, 86400).map(float)),
    moved=st.booleans(),
)
def test_a_claim_reads_as_it_was_written(
    ready: list[str], kept: list[str], left: list[str], token: int, ttl: float | None, moved: bool
) -> None:
    at = WallTime(1_700_000_000.25)
    before = Claim(
        token=token,
        write="ab12",
        since=WallTime(1_600_000_000.5),
        ttl=ttl,
        ready=frozenset(map(digest, ready)),
        kept={digest(host): WallTime(1_700_000_100.5) for host in kept},
    )
    content = before.content({digest(host): 61.5 for host in left}, moved=moved)
    assert all(len(part) <= 255 for part in content[1:-1].split('" "'))
    for written in (content, "".join(content[1:-1].split('" "'))):
        after = read_claim(written, at)
        assert (after.token, after.write, after.ttl, after.ready) == (
            token,
            "ab12",
            ttl,
            before.ready,
        )
        assert after.since == (at if moved else before.since)
        for host in kept:
            assert after.kept_until(host) == (at + 61.5 if host in left else 1_700_000_100.5)
        for host in left:
            assert after.kept_until(host) == at + 61.5


@pytest.mark.parametrize(
    "content", ["", '"a note"', '"foreshadow=1"', '"foreshadow=1 token=x write=a since=now"']
)
def test_what_is_no_claim_is_not_read(content: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_claim(content, WallTime(0.0))
