"""Specs that a person can get wrong, each with the words that have to name what and the way out."""

from __future__ import annotations

from typing import Any

SECRET = "hunter2"
NOT_A_NAME = ("is not a name", "use letters, digits")


def director(**changes: Any) -> dict[str, Any]:
    entry = {"kind": "haproxy", "backend": "x", "endpoints": [{"agent": "lb-1", "socket": "/x"}]}
    return {"directors": [{**entry, **changes}]}


def service(**changes: Any) -> dict[str, Any]:
    return {"service": changes}


def source(**options: Any) -> dict[str, Any]:
    return {"metrics": {"sources": [options]}}


HIDDEN = ("looks like a secret, and the ledger keeps none", "the environment variable or the file")
URL = f"http://u:{SECRET}@h/x"

SPECS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "traversal": ({"name": "../../etc"}, NOT_A_NAME),
    "newline": ({"name": "a\nb"}, NOT_A_NAME),
    "key": ({"servcie": {}}, ("other, servcie: unknown key", "did you mean service?")),
    "inner key": ({"policy": {"mod": 1}}, ("policy.mod: unknown key", "did you mean mode?")),
    "choice": ({"policy": {"mode": "auto"}}, ("policy.mode", "did you mean automatic?")),
    "text for a mapping": ({"policy": "auto"}, ("policy: must be a mapping of keys", "write")),
    "text for a list": (service(command="a b"), ("service.command: must be a list", "write")),
    "empty command": (service(command=[]), ("service.command: is empty", "give at least one")),
    "NUL": (service(command=["a\0b"]), ("service.command[0]: it holds a NUL", "take that out")),
    "variable": (service(environment={"A=B": "c"}), ("'A=B' is not a name of a variable", "use")),
    "number for a text": (service(environment={"A": 1}), ("environment.A", "valid string")),
    "port": (service(port=0), ("service.port", "greater than or equal to 1")),
    "systemd": (service(unit="x.service"), ("not supported by this version", "command")),
    "two checks": (service(health={"path": "/", "tcp": True}), ("health: name exactly one",)),
    "no time": (service(health={"path": "/", "timeout": 0}), ("health.timeout", "than 0")),
    "query": (service(profile={"url": "http://x", "query": "[["}), ("profile.query", "correct")),
    "steps": ({"policy": {"steps": [50, 10]}}, ("policy: steps must rise and end at 100",)),
    "unit": ({"sync": {"interval": "5 parsecs"}}, ("unit 'parsecs'", "use ms, s, m")),
    "bandwidth": ({"sync": {"bandwidth": "50Mb"}}, ("'50Mb' cannot be read", "write 50Mbit")),
    "negative": ({"policy": {"soak": -1}}, ("policy.soak", "zero or more")),
    "endless": ({"policy": {"soak": float("inf")}}, ("policy.soak", "zero or more")),
    "oversized": ({"shadows": {"count": 10**9}}, ("shadows.count", "less than or equal to 16")),
    "unit of a metric": (
        {"metrics": {"utilization": {"query": "x", "unit": "seconds"}}},
        ("utilization cannot be in seconds", "declare ratio or percent"),
    ),
    "no step": ({"metrics": {"step": 0}}, ("metrics.step", "greater than 0")),
    "kind of a director": (
        director(kind="hapoxy"), ("directors[0].kind: unknown kind hapoxy", "mean haproxy?")
    ),
    "key of a director": (director(bakend="x"), ("haproxy, bakend", "did you mean backend?")),
    "command in a backend": (director(backend="x;shutdown"), ("haproxy, backend", "use letters")),
    "relative socket": (
        director(endpoints=[{"agent": "lb-1", "socket": "x"}]),
        ("socket: 'x' is not an absolute path", "begin it with /"),
    ),
    "agent of a director": (
        director(endpoints=[{"agent": "lb-9", "socket": "/x"}]),
        ("directors: unknown host lb-9", "did you mean lb-"),
    ),
    "kind of a source": (source(kind="promethus"), ("unknown kind promethus", "mean prometheus?")),
    "key of a source": (source(kind="prometheus", ulr="x"), ("ulr: unknown key", "mean url?")),
    "URL of a source": (
        source(kind="prometheus", url="prom:9090"), ("'prom:9090' is not a URL", "http://")
    ),
    "kind of a state": ({"state": [{"kind": "file"}]}, ("unknown kind file", "mean files?")),
    "key of a state": ({"state": [{"kind": "files", "pth": "x"}]}, ("pth", "did you mean path?")),
    "place of a state": (
        {"state": [{"kind": "files", "path": "{state}/../.."}]}, ("no place", "without . or ..")
    ),
    "primary": ({"primary": "edge-q"}, ("other, primary: unknown host edge-q", "did you mean")),
    "primary on a load balancer": ({"primary": "lb-1"}, ("other, primary: lb-1 is a load",)),
    "secret variable": (service(environment={"DB_PASSWORD": SECRET}), HIDDEN),
    "secret in a variable": (service(environment={"DB": URL}), HIDDEN),
    "secret option": (service(command=["x", f"--password={SECRET}"]), HIDDEN),
    "secret argument": (service(command=["x", "--password", SECRET]), HIDDEN),
    "secret in a hook": (service(hooks={"reload": ["curl", URL]}), HIDDEN),
    "secret in a check": (service(health={"path": None, "command": ["curl", URL]}), HIDDEN),
    "secret in a profile": (service(profile={"url": URL, "query": "a"}), HIDDEN),
    "secret of a director": (director(token=SECRET), HIDDEN),
    "secret of a source": (source(kind="prometheus", url=URL), HIDDEN),
    "secret in a query": ({"metrics": {"latency": {"query": URL, "unit": "seconds"}}}, HIDDEN),
    "secret label": ({"placement": {"labels": {"password": SECRET}}}, HIDDEN),
    "secret of the wrong type": (service(health=URL), ("a value that is not shown",)),
}  # fmt: skip
