"""What a decision saw and expected, kept for the report.

Kept under ``forecast:<decision id>`` as JSON: by metric, ``unit``, ``at``, ``seen``, ``expected``,
``lower`` and ``upper`` (lists of [metric time, value]), ``threshold`` and ``breach_at``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Decision
from foreshadow.domain.series import Series
from foreshadow.forecast.outlook import Outlook
from foreshadow.operations.context import Context
from foreshadow.operations.series import LATENCY
from foreshadow.report.facts import Points, Trajectory

SEEN_SECONDS = 3 * 86400.0
SEEN_POINTS = 400
_INTERVAL = (0.1, 0.9)


def keep(
    context: Context,
    decision: Decision,
    past: Mapping[str, Series],
    outlooks: Mapping[str, Outlook],
) -> None:
    """Keep what a decision saw."""
    body = {
        name: _body(decision, name, past[name], outlooks.get(name))
        for name in decision.signals
        if name in past
    }
    if body:
        text = json.dumps(body, separators=(",", ":"))
        context.ledger.put_cached(_key(decision.id), text, context.now())


def trajectories(context: Context, decision_id: str) -> tuple[Trajectory, ...]:
    """Return what a decision saw; nothing when it was not kept, or is too old."""
    text = context.ledger.cached(_key(decision_id))
    if text is None:
        return ()
    return tuple(
        Trajectory(
            metric=name,
            unit=body["unit"],
            at=MetricTime(body["at"]),
            threshold=body["threshold"],
            breach_at=body["breach_at"],
            **{part: _points(body[part]) for part in ("seen", "expected", "lower", "upper")},
        )
        for name, body in json.loads(text).items()
    )


def _key(decision_id: str) -> str:
    return f"forecast:{decision_id}"


def _body(decision: Decision, name: str, past: Series, outlook: Outlook | None) -> dict[str, Any]:
    signal = decision.signals[name]
    path = outlook.path if outlook else ()
    return {
        "unit": "seconds" if name == LATENCY else "ratio",
        "at": decision.at,
        "seen": _seen(past, decision.at),
        "expected": [(q.at, _short(q.point)) for q in path],
        "lower": [(q.at, _short(q.quantile(_INTERVAL[0]))) for q in path],
        "upper": [(q.at, _short(q.quantile(_INTERVAL[1]))) for q in path],
        "threshold": signal.threshold,
        "breach_at": signal.breach_at,
    }


def _seen(past: Series, at: MetricTime) -> list[tuple[float, float]]:
    """Return the last days, each value at the middle of its cell."""
    times = zip(past.times(), past.values, strict=True)
    known = [(t - past.step / 2, _short(v)) for t, v in times if not math.isnan(v)]
    return [(t, v) for t, v in known if t > at - SEEN_SECONDS][-SEEN_POINTS:]


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _points(rows: Sequence[Sequence[float]]) -> Points:
    return tuple((MetricTime(at), value) for at, value in rows)
