"""A context over a real ledger whose metrics are what a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from foreshadow.domain.clock import MetricClock, WallTime
from foreshadow.domain.errors import MetricsError, UnreachableError
from foreshadow.domain.fleet import parse_host
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import ResourceSpec, SourceSpec, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context

STEP = 60.0
Curve = Callable[[float], float]


class Canned:
    """A metric source that answers each query by a function of resource and metric time."""

    def __init__(self, curves: Mapping[tuple[str, str], Curve], broken: bool) -> None:
        self._curves, self._broken = curves, broken

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        if self._broken:
            raise MetricsError("does not answer", where="source canned")
        grid = window.grid()
        return {
            name: Series(grid[0], window.step, tuple(self._curves[name, query](at) for at in grid))
            for name in resources
            if (name, query) in self._curves and grid
        }


class NoAgents:
    """No agent answers; what was tried is kept."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def client(self, host_name: str) -> Any:
        self.asked.append(host_name)
        raise UnreachableError("no answer", where=f"host {host_name}")


class Metered(Context):
    """A context with the ledger of a test, its metrics, and a clock that it sets."""

    def __init__(self, ledger: Ledger, curves: Mapping[tuple[str, str], Curve]) -> None:
        self.time = 1_000_000.0
        self.agents = cast("Any", NoAgents())
        self.curves = dict(curves)
        self.broken = False
        super().__init__(ledger, self.agents, lambda: WallTime(self.time))

    def source(self, source: SourceSpec, clock: MetricClock) -> Any:
        return Canned(self.curves, self.broken)


def open_metered(folder: Path, curves: Mapping[tuple[str, str], Curve]) -> Metered:
    return Metered(Ledger.open(f"sqlite:///{folder}/ledger.db"), curves)


def resource(name: str, primary: str, **keys: Any) -> ResourceSpec:
    metrics = {
        "sources": [{"kind": "canned"}],
        "step": STEP,
        "latency": {"query": "latency", "unit": "seconds"},
        "demand": {"rate": {"query": "rate", "unit": "per_second"}},
    }
    raw = {"name": name, "primary": primary, "service": {"command": ["serve"], "port": 80},
           "metrics": metrics}  # fmt: skip
    return parse_resource({**raw, **keys})


def add_hosts(ledger: Ledger, **rates: float) -> None:
    for name, rate in rates.items():
        host = {"name": name, "address": "127.0.0.1", "capacity": {"rate": rate}, "zone": name}
        ledger.put_host(parse_host(host))
