"""The demand that is expected of resources: kept at each evaluation, read before each move.

A move must not wait until models are fitted. So whoever evaluates keeps the highest demand that was
forecast within the horizon, and who moves takes that, or what was measured lately where it is more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.series import Window
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.series import fetch_metrics

_CLOSE = 0.05
"""Forecasts that differ by less are not written again while the kept one is young."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The highest demand of a resource by kind that is forecast from a metric time on.

    :ivar horizon: metric seconds that the forecast reaches.
    """

    resource: str
    at: MetricTime
    horizon: float
    peaks: Mapping[str, float]


def keep_expected(context: Context, expects: Sequence[Expected]) -> None:
    """Keep what is expected of resources, unless what is kept still says so."""
    there = context.ledger.all_cached(_key(one.resource) for one in expects)
    texts = {}
    for one in expects:
        text = there.get(_key(one.resource))
        kept = None if text is None else _Kept(**json.loads(text))
        young = kept is not None and 0 <= one.at - kept.at < one.horizon / 4
        if kept is None or not young or not _is_close(kept.peaks, one.peaks):
            body = {"at": one.at, "until": one.at + one.horizon, "peaks": dict(one.peaks)}
            texts[_key(one.resource)] = json.dumps(body)
    context.ledger.put_all_cached(texts, context.now())


def expected(context: Context, specs: Sequence[ResourceSpec]) -> dict[str, dict[str, float]]:
    """Return the highest demand of each resource by kind, of now and within the horizon.

    The higher one of what was measured over the last horizon and what was forecast for the coming
    one; a kind that nobody knows is absent.
    """
    now = context.now()
    fetched = fetch_metrics(context, specs, lambda spec: _last_horizon(spec, now))
    found: dict[str, dict[str, float]] = {}
    for spec in specs:
        peaks = dict(_forecast(context, spec, now))
        for kind, series in fetched[spec.name].demand.items():
            if series.present():
                measured = max(value for value in series.values if not math.isnan(value))
                peaks[kind] = max(measured, peaks.get(kind, 0.0))
        found[spec.name] = peaks
    return found


def _forecast(context: Context, spec: ResourceSpec, now: WallTime) -> Mapping[str, float]:
    kept, at = _kept(context, spec.name), spec.metrics.clock.clock().metric(now)
    if kept is None or not kept.at <= at < kept.until:
        return {}
    return {kind: peak for kind, peak in kept.peaks.items() if kind in spec.metrics.demand}


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was kept: the highest demand by kind, from one metric time to another."""

    at: float
    until: float
    peaks: Mapping[str, float]


def _kept(context: Context, resource: str) -> _Kept | None:
    text = context.ledger.cached(_key(resource))
    return None if text is None else _Kept(**json.loads(text))


def _key(resource: str) -> str:
    return f"expected {resource}"


def _is_close(kept: Mapping[str, float], peaks: Mapping[str, float]) -> bool:
    return kept.keys() == peaks.keys() and all(
        math.isclose(kept[kind], peak, rel_tol=_CLOSE) for kind, peak in peaks.items()
    )


def _last_horizon(spec: ResourceSpec, now: WallTime) -> Window:
    end = spec.metrics.clock.clock().metric(now)
    length = max(spec.triggers.horizon, spec.metrics.step)
    return Window(MetricTime(end - length), end, spec.metrics.step)
