"""What decisions saw and expected, kept for the report.

Kept as JSON, by metric: ``unit``, ``at``, ``seen`` (float32 in base 64, which begin at ``first``
and are ``step`` apart), ``expected``, ``lower`` and ``upper`` (lists of [metric time, value]),
``threshold`` and ``breach_at``. A decision without a trigger is shown as long as it is the newest
one, so each resource has one place for them; the others have a place for each.
"""

from __future__ import annotations

import base64
import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Decision, Trigger
from foreshadow.domain.series import Series
from foreshadow.forecast.outlook import Outlook
from foreshadow.operations.context import Context
from foreshadow.operations.series import LATENCY
from foreshadow.report.facts import Points, Trajectory

SEEN_SECONDS = 3 * 86400.0
SEEN_POINTS = 400
_INTERVAL = (0.1, 0.9)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a decision saw, and what was forecast for it, by metric."""

    decision: Decision
    past: Mapping[str, Series]
    outlooks: Mapping[str, Outlook]


def keep(context: Context, sights: Sequence[Sight]) -> None:
    """Keep what decisions saw."""
    texts = {}
    for sight in sights:
        decision, past = sight.decision, sight.past
        body = {
            name: _body(decision, name, past[name], sight.outlooks.get(name))
            for name in decision.signals
            if name in past
        }
        if body:
            quiet = decision.trigger is Trigger.NONE
            key = _newest(decision.resource) if quiet else _key(decision.id)
            text = json.dumps({"id": decision.id, "metrics": body}, separators=(",", ":"))
            texts[key] = text
    context.ledger.put_all_cached(texts, context.now())


def trajectories(context: Context, resource: str, decision_id: str) -> tuple[Trajectory, ...]:
    """Return what a decision saw; nothing when it was not kept, or is too old."""
    texts = context.ledger.all_cached([_key(decision_id), _newest(resource)])
    # Texts of an earlier version, which name no decision, are not understood.
    kept = [one for one in map(json.loads, texts.values()) if one.get("id") == decision_id]
    if not kept:
        return ()
    return tuple(
        Trajectory(
            metric=name,
            unit=body["unit"],
            at=MetricTime(body["at"]),
            threshold=body["threshold"],
            breach_at=body["breach_at"],
            seen=_shown(body),
            **{part: _points(body[part]) for part in ("expected", "lower", "upper")},
        )
        for name, body in kept[0]["metrics"].items()
    )


def _key(decision_id: str) -> str:
    return f"forecast:{decision_id}"


def _newest(resource: str) -> str:
    return f"forecast of {resource}"


def _body(decision: Decision, name: str, past: Series, outlook: Outlook | None) -> dict[str, Any]:
    signal = decision.signals[name]
    path = outlook.path if outlook else ()
    return {
        "unit": "seconds" if name == LATENCY else "ratio",
        "at": decision.at,
        **_seen(past, decision.at),
        "expected": [(q.at, _short(q.point)) for q in path],
        "lower": [(q.at, _short(q.quantile(_INTERVAL[0]))) for q in path],
        "upper": [(q.at, _short(q.quantile(_INTERVAL[1]))) for q in path],
        "threshold": signal.threshold,
        "breach_at": signal.breach_at,
    }


def _seen(past: Series, at: MetricTime) -> dict[str, Any]:
    """Return the last days."""
    count = min(SEEN_POINTS, math.floor(SEEN_SECONDS / past.step))
    end = min(len(past), max(0, math.floor((at - past.start) / past.step) + 1))
    begin = max(0, end - count)
    values = array("f", past.values[begin:end])
    text = base64.b64encode(values.tobytes()).decode("ascii")
    return {"first": past.start + begin * past.step, "step": past.step, "seen": text}


def _shown(body: Mapping[str, Any]) -> Points:
    """Return what was seen, each value at the middle of its cell."""
    values = array("f", base64.b64decode(body["seen"]))
    times = (body["first"] + (k - 0.5) * body["step"] for k in range(len(values)))
    return tuple(
        (MetricTime(t), _short(v)) for t, v in zip(times, values, strict=True) if not math.isnan(v)
    )


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _points(rows: Sequence[Sequence[float]]) -> Points:
    return tuple((MetricTime(at), value) for at, value in rows)
