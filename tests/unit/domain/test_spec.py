"""A spec as a person writes it: what is accepted, and the one line that says what is not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from foreshadow.domain.errors import SpecError
from foreshadow.domain.fleet import parse_host
from foreshadow.domain.secrets import refuse_secrets
from foreshadow.domain.spec import Mode, PolicyMode, merged, parse_resource

SMALLEST: dict[str, Any] = {
    "name": "checkout",
    "primary": "edge-a",
    "service": {"command": ["/opt/checkout", "--port", "{port}"], "port": 8080},
}


def _with(path: str, value: object) -> dict[str, Any]:
    """Return the smallest spec with a value put at a dotted path."""
    nested = value
    for key in reversed(path.split(".")):
        nested = {key: nested}
    assert isinstance(nested, dict)
    return merged(SMALLEST, nested)


def test_the_smallest_spec_has_every_default() -> None:
    spec = parse_resource(SMALLEST)
    assert spec.shadows.mode is Mode.WARM
    assert spec.policy.mode is PolicyMode.FORECAST_ONLY
    assert spec.policy.steps == (10, 50, 100)
    assert spec.service.health.tcp
    assert spec.triggers.horizon == 1800.0


def test_a_full_spec_survives_its_own_plain_form() -> None:
    raw = merged(
        SMALLEST,
        {
            "service": {
                "health": {"path": "/healthz", "timeout": "2s"},
                "drain": {"source": "service", "path": "/inflight", "timeout": "1m"},
                "profile": {"url": "http://{address}:{port}/m", "query": "requests[]"},
            },
            "state": [{"kind": "files", "path": "{state}/x", "exclude": ["*.key"]}],
            "sync": {"interval": "5s", "bandwidth": "50Mbit"},
            "directors": [{"kind": "haproxy", "backend": "checkout", "targets": {"edge-a": "a"}}],
            "metrics": {
                "url": "http://prom:9090",
                "utilization": {"query": "u", "unit": "percent"},
                "demand": {"cpu": {"query": "c", "unit": "cores"}},
                "clock": {"origin": "2026-11-24T08:00:00Z", "rate": 60},
            },
            "policy": {"mode": "automatic", "cooldown": "1h30m", "drill_max_age": None},
        },
    )
    spec = parse_resource(raw)
    assert spec.sync.bandwidth == 6_250_000
    assert spec.policy.cooldown == 5400.0
    assert spec.metrics.sources[0].kind == "prometheus"
    assert spec.metrics.sources[0].options() == {"url": "http://prom:9090"}
    assert spec.directors[0].target("edge-a") == "a"
    assert spec.directors[0].target("edge-b") == "edge-b"
    assert parse_resource(spec.plain()) == spec


def test_defaults_lie_under_every_resource_key_by_key() -> None:
    defaults = {"policy": {"mode": "manual", "soak": "3s"}, "shadows": {"count": 2}}
    spec = parse_resource(_with("policy.soak", "7s"), defaults)
    assert (spec.policy.mode, spec.policy.soak) == (PolicyMode.MANUAL, 7.0)
    assert spec.shadows.count == 2


def test_merging_replaces_lists_and_leaves_its_arguments_alone() -> None:
    below, above = {"a": {"x": [1, 2], "y": 1}}, {"a": {"x": [3]}}
    assert merged(below, above) == {"a": {"x": [3], "y": 1}}
    assert below == {"a": {"x": [1, 2], "y": 1}}


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (
            _with("polcy", {}),
            "resource checkout, polcy: unknown key; did you mean policy?",
        ),
        (
            _with("policy.coldown", "1h"),
            "resource checkout, policy.coldown: unknown key; did you mean cooldown?",
        ),
        (
            _with("service.hooks.relaod", ["x"]),
            "resource checkout, service.hooks.relaod: unknown key; did you mean reload?",
        ),
        (
            _with("metrics.latency", {"query": "q", "unit": "seconds", "unti": "s"}),
            "resource checkout, metrics.latency.unti: unknown key; did you mean unit?",
        ),
        (
            {"name": "checkout", "primry": "edge-a", "service": SMALLEST["service"]},
            "resource checkout, primry: unknown key (and 1 more problem); did you mean primary?",
        ),
        (
            {"name": "checkout", "service": SMALLEST["service"]},
            "resource checkout, primary: is required; add it",
        ),
        (
            _with("shadows.mode", "wram"),
            (
                "resource checkout, shadows.mode: input should be 'cold', 'warm' or 'hot', "
                "got 'wram'; did you mean warm?"
            ),
        ),
        (
            _with("metrics.demand", {"cpuu": {"query": "q", "unit": "cores"}}),
            (
                "resource checkout, metrics.demand.cpuu: input should be 'cpu', "
                "'memory' or 'rate', got 'cpuu'; did you mean cpu?"
            ),
        ),
        (
            _with("shadows.count", 99),
            "resource checkout, shadows.count: input should be less than or equal to 16, got 99",
        ),
        (
            _with("sync.interval", "5 parsecs"),
            (
                "resource checkout, sync.interval: '5 parsecs' has the unknown unit 'parsecs'; "
                "use ms, s, m, h, d, w"
            ),
        ),
        (
            _with("sync.interval", "a: b"),
            (
                "resource checkout, sync.interval: 'a: b' is not a duration; "
                "write 250ms, 30s, 15m, 2h or 1d"
            ),
        ),
        (
            _with("service.drain", {"source": "service"}),
            (
                "resource checkout, service.drain: source service needs a path; "
                "name the one that tells the requests in flight"
            ),
        ),
        (
            _with("service.health", {"path": "/", "tcp": True}),
            "resource checkout, service.health: name exactly one of path, tcp or command",
        ),
        (
            _with("policy.steps", [50, 10, 100]),
            ("resource checkout, policy: steps must rise and end at 100, such as [10, 50, 100]"),
        ),
        (
            _with("metrics.latency", {"query": "q", "unit": "ratio"}),
            (
                "resource checkout, metrics: latency cannot be in ratio; "
                "declare seconds or milliseconds"
            ),
        ),
        (
            _with("name", "check out"),
            (
                "resource check out, name: 'check out' is not a name; "
                "use letters, digits, '.', '_' and '-', a letter or digit first, at most 63"
            ),
        ),
        (
            "checkout",
            (
                "resource: a resource must be a mapping of keys, got 'checkout'; "
                "write it as - name: … under foreshadow_resources"
            ),
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(raw: object, line: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_resource(raw)
    assert str(caught.value) == line


def test_an_error_never_shows_a_secret() -> None:
    for raw in (
        _with("directors", {"kind": "haproxy", "token": "hunter2"}),
        _with("service.environment", {"API_TOKEN": ["hunter2"]}),
        _with("service.environment", {"API_TOKEN": 1234567}),
        _with("service.profile", "http://me:hunter2@host/"),
    ):
        with pytest.raises(SpecError) as caught:
            parse_resource(raw)
        assert "hunter2" not in str(caught.value)
        assert "1234567" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("directors", [{"kind": "cloudflare", "api_token": "x"}], "directors[0].api_token"),
        ("directors", [{"kind": "rfc2136", "tsigKey": "x"}], "directors[0].tsigKey"),
        (
            "metrics.sources",
            [{"kind": "prometheus", "headers": {"Authorization": "Bearer x"}}],
            "metrics.sources[0].headers.Authorization",
        ),
        (
            "metrics.sources",
            [{"kind": "prometheus", "url": "https://me:pw@prom/"}],
            "metrics.sources[0].url",
        ),
        ("state", [{"kind": "sql", "login": [{"password": "x"}]}], "state[0].login[0].password"),
        ("service.environment", {"DB_PASSWORD": "x"}, "service.environment.DB_PASSWORD"),
        (
            "service.environment",
            {"PEM": "-----BEGIN RSA PRIVATE KEY-----\nx"},
            "service.environment.PEM",
        ),
    ],
)
def test_what_looks_like_a_secret_is_refused_without_showing_it(
    path: str, value: object, place: str
) -> None:
    with pytest.raises(SpecError) as caught:
        refuse_secrets(parse_resource(_with(path, value)))
    assert str(caught.value) == (
        f"resource checkout, {place}: looks like a secret, and the ledger keeps none; "
        "name the environment variable or the file that holds it instead"
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("directors", [{"kind": "cloudflare", "api_token_file": "/run/secrets/cf"}]),
        ("directors", [{"kind": "cloudflare", "token_env": "CF_TOKEN", "key_name": "k"}]),
        ("state", [{"kind": "files", "path": "/etc/x", "exclude": ["*.key", "token*"]}]),
        ("service.environment", {"SORT_KEY": "a", "TOKEN_FILE": "/run/t", "PASSWORD": ""}),
        ("metrics.sources", [{"kind": "prometheus", "url": "http://prom:9090/a@b"}]),
    ],
)
def test_where_a_secret_is_may_be_said(path: str, value: object) -> None:
    refuse_secrets(parse_resource(_with(path, value)))


def test_a_host_is_read_with_its_units_and_told_in_one_line() -> None:
    host = parse_host(
        {"name": "edge-a", "address": "127.0.0.11", "capacity": {"cpu": 2, "memory": "4GiB"}}
    )
    assert host.capacity.limits() == {"cpu": 2.0, "memory": float(4 * 2**30)}
    assert parse_host(host.plain()) == host
    with pytest.raises(SpecError, match=r"^host edge-a, adress: unknown key .*did you mean addr"):
        parse_host({"name": "edge-a", "adress": "127.0.0.11"})


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        # As YAML gives them: 22:00 without quotes is a number of minutes.
        (
            {"days": "mon-wed, sunday", "from": 1320, "to": "4:00", "zone": "Europe/Berlin"},
            {"days": ["mon", "tue", "wed", "sun"], "from": "22:00", "to": "04:00",
             "zone": "Europe/Berlin"},
        ),
        ({"days": ["fri-mon"], "from": "00:00", "to": "24:00"},
         {"days": ["mon", "fri", "sat", "sun"], "from": "00:00", "to": "24:00", "zone": "UTC"}),
        ({"cron": "0 2 * * SUN#1", "for": "4h"},
         {"cron": "0 2 * * SUN#1", "for": 14400.0, "zone": "UTC"}),
        ({"from": date(2026, 12, 24), "to": "2026-12-27T06:00", "reason": "peak trade"},
         {"from": "2026-12-24T00:00:00", "to": "2026-12-27T06:00:00", "reason": "peak trade",
          "zone": "UTC"}),
    ],
)  # fmt: skip
def test_windows_are_kept_as_a_person_writes_them(
    written: dict[str, Any], kept: dict[str, Any]
) -> None:
    spec = parse_resource(
        merged(SMALLEST, {"policy": {"windows": [written], "blackouts": [written]}})
    )
    assert spec.plain()["policy"]["windows"] == [kept]
    assert parse_resource(spec.plain()) == spec
    event = parse_resource(merged(SMALLEST, {"events": [{"kind": "blackout", **written}]}))
    assert event.blackouts == event.events
    assert parse_resource(event.plain()) == event


SIX_FIELDS = (
    ".cron: '0 0 2 * * 1' is not a cron line; write minute, hour, day, month and day of the week"
)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({}, ": is not a window; give from and to, or cron and for"),
        ({"from": "22:00", "to": "04:00", "cron": "0 2 * * *", "for": "1h"},
         ": is not a window; give from and to, or cron and for"),
        ({"from": "22:00"}, ": is half a window; add to"),
        ({"cron": "0 2 * * 1"}, ": is half a window; add for"),
        ({"from": "22:00", "to": "22:00"}, ": is empty; for a whole day write from 00:00 to 24:00"),
        ({"from": "25:00", "to": "04:00"},
         ".from: '25:00' is not a time; write \"22:00\" or 2026-12-24T12:00"),
        ({"from": 79200, "to": "04:00"},
         '.from: 79200 is not a time; write "22:00" or 2026-12-24T12:00'),
        ({"from": "2026-12-24", "to": "04:00"},
         ": mixes a date with a time of day; give both ends with a date"),
        ({"from": "2026-12-24", "to": "2026-12-23"}, ": ends before it begins; swap from and to"),
        ({"from": "2026-12-24", "to": "2026-12-25", "days": ["mon"]},
         ": days go with times of day; leave them out"),
        ({"from": "22:00", "to": "04:00", "days": ["mun"]},
         ".days: 'mun' is not a day; write mon, tue, … or a range such as mon-fri"),
        ({"from": "22:00", "to": "04:00", "zone": "Europe/Berln"},
         ".zone: 'Europe/Berln' is not a time zone; did you mean Europe/Berlin?"),
        ({"from": "22:00", "to": "04:00", "zone": "../passwd"},
         ".zone: '../passwd' is not a time zone; write such as Europe/Berlin"),
        ({"cron": "0 2 * * XXX", "for": "1h"},
         ".cron: '0 2 * * XXX' is not a cron line (day-of-week); write such as 0 2 * * SUN"),
        ({"cron": "0 0 2 * * 1", "for": "1h"}, SIX_FIELDS),
        ({"cron": "0 2 * * 1", "for": "60d"},
         ": for is how long it lasts; write between 1m and 31d"),
        ({"form": "22:00", "to": "04:00"}, ".form: unknown key; did you mean for?"),
    ],
)  # fmt: skip
def test_what_is_no_window_is_told_in_one_line(written: dict[str, Any], line: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_resource(merged(SMALLEST, {"policy": {"windows": [written]}}))
    assert str(caught.value) == f"resource checkout, policy.windows[0]{line}"


def test_an_event_of_another_kind_is_refused() -> None:
    with pytest.raises(SpecError, match=r"events\[0\].kind: input should be 'blackout', got 'fair"):
        parse_resource(
            merged(SMALLEST, {"events": [{"kind": "fair", "from": "22:00", "to": "04:00"}]})
        )
