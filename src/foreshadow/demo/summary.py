"""The end of the demo: a summary that a person reads in ten seconds, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshadow.demo.load import Seen, percentile
from foreshadow.domain.clock import MetricTime, isoformat
from foreshadow.domain.units import format_duration


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the replayed hours came to.

    :ivar breach_at: metric time at which demand passed the threshold of the first host.
    :ivar moved_at: metric time at which all new requests went to another host.
    :ivar staleness: age of each shadow's state as it was sampled, as the report reads it.
    """

    seen: Seen
    breach_at: MetricTime
    moved_at: MetricTime | None
    rate: float
    switchovers: int
    switch_ms: float | None = None
    pause_ms: float | None = None
    staleness: tuple[dict[str, Any], ...] = ()

    @property
    def lead_seconds(self) -> float | None:
        """Return how long before the breach the traffic had moved; negative means after."""
        return None if self.moved_at is None else self.breach_at - self.moved_at

    def plain(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        lead = self.lead_seconds
        return {
            "requests": self.seen.requests,
            "failed": self.seen.failed,
            "errors": dict(self.seen.errors),
            "breach_at": isoformat(self.breach_at),
            "moved_at": None if self.moved_at is None else isoformat(self.moved_at),
            "lead_seconds": None if lead is None else round(lead, 1),
            "lead_wall_seconds": None if lead is None else round(lead / self.rate, 2),
            "switchovers": self.switchovers,
            "pause_ms": self.pause_ms,
            "switch_ms": self.switch_ms,
            "p50_ms": round(self.seen.percentile(0.5) * 1000, 1),
            "p99_ms": round(self.seen.percentile(0.99) * 1000, 1),
            "hosts": dict(self.seen.hosts),
        }


def write(path: Path, foreshadow: Run, reactive: Run) -> None:
    """Write ``summary.json``."""
    content = {**foreshadow.plain(), "reactive": reactive.plain()}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_clients(path: Path, resource: str, runs: dict[str, Run]) -> None:
    """Write what clients saw as :mod:`foreshadow.report.clients` reads it."""
    content = {
        "resource": resource,
        "step": next(iter(runs.values())).seen.step,
        "runs": {
            name: {"intervals": _intervals(run.seen), "staleness": list(run.staleness)}
            for name, run in runs.items()
        },
    }
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _intervals(seen: Seen) -> list[dict[str, Any]]:
    return [
        {
            "at": at,
            "requests": len(interval.latencies) + interval.failed,
            "failed": interval.failed,
            "p50": percentile(interval.latencies, 0.5) if interval.latencies else None,
            "p99": percentile(interval.latencies, 0.99) if interval.latencies else None,
        }
        for at, interval in sorted(seen.intervals.items())
    ]


def tell(foreshadow: Run, reactive: Run, reason: str, report: Path) -> str:
    """Return the summary as text, both runs side by side."""
    rows = [
        ("", "with Foreshadow", "alarm and cold move"),
        ("requests", f"{foreshadow.seen.requests:,}", f"{reactive.seen.requests:,}"),
        ("failed", f"{foreshadow.seen.failed:,}", f"{reactive.seen.failed:,}"),
        ("traffic moved", _moved(foreshadow), _moved(reactive)),
        ("median latency", _ms(foreshadow, 0.5), _ms(reactive, 0.5)),
        ("p99 latency", _ms(foreshadow, 0.99), _ms(reactive, 0.99)),
    ]
    if foreshadow.switch_ms is not None:
        rows.append(("switch took", f"{foreshadow.switch_ms:,.0f} ms", "-"))
    lines = [f"  {name:<16}{left:>38}{right:>38}" for name, left, right in rows]
    return "\n".join(["", *lines, "", f"  why      {reason}", f"  report   {report}", ""])


def _moved(run: Run) -> str:
    lead = run.lead_seconds
    if lead is None:
        return "never"
    side = "before" if lead >= 0 else "after"
    ahead = format_duration(round(abs(lead) / 60) * 60)
    return f"{ahead} {side} the breach ({abs(lead) / run.rate:.1f} s)"


def _ms(run: Run, share: float) -> str:
    return f"{run.seen.percentile(share) * 1000:,.0f} ms"
