"""Specs of services that start fast, for tests of agents."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Any

from foreshadow.domain.spec import ResourceSpec, merged, parse_resource

TINY = Path(__file__).with_name("tiny_service.py")
RELOAD = ["sh", "-c", "kill -HUP $FORESHADOW_PID; sleep 0.05"]


def command(*traits: str) -> list[str]:
    """Return the command of the tiny service."""
    return [sys.executable, "-S", str(TINY), "{address}", "{port}", "{state}", *traits]


def spec(name: str, primary: str, port: int = 8080, *traits: str, **service: Any) -> ResourceSpec:
    """Return the spec of a resource that the tiny service carries."""
    raw = {
        "name": name,
        "primary": primary,
        "service": {
            "command": command(*traits),
            "port": port,
            "health": {"path": "/healthz", "successes": 2, "start_timeout": "10s"},
            "drain": {"source": "service", "path": "/inflight"},
            "hooks": {"reload": RELOAD},
            "stop_timeout": "5s",
        },
        "state": [{"kind": "files", "path": "{state}"}],
    }
    return parse_resource(merged(raw, {"service": service}))


def ask(address: str, path: str, port: int = 8080) -> str:
    """Return what a service answers."""
    with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=5) as reply:
        return str(reply.read().decode())
