"""From many histories to as many outlooks, with the fleet model.

What was fitted is kept on the shelf, in buckets of a few hundred series. The next call takes it
from there, lets it follow the cells that came since, and fits it anew once a day. So a tick fits
nothing, in whatever process it runs.
"""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from blake3 import blake3

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Blocked, Model
from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.fleet import NAME, Fleet, FleetFit, window
from foreshadow.forecast.gate import gate
from foreshadow.forecast.history import DAY, MOST_HISTORY, History, Index, steps
from foreshadow.forecast.intervals import LEVELS
from foreshadow.forecast.margin import Limit, Margin, margin_of_claims
from foreshadow.forecast.model import Shelf
from foreshadow.forecast.outlook import UNFIT, Outlook, Quantiles, unfit
from foreshadow.forecast.parts import begun
from foreshadow.forecast.views import State

VERSION = "fleet-7"
"""Part of the key of everything that is kept: change it with anything that changes a fit."""

_MOST_STEPS = 8
_REFIT = DAY
_BUCKET = 256
_REMEMBERED = 48
"""Newest cells that are kept with a fit, to know the series again."""
_ALIKE = 0.8
"""Share of them that must be as they were: late samples may change a few."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric to be forecast.

    :ivar name: what it is called at every tick, such as the resource and the metric.
    :ivar end: metric time of the last completed cell, even where that is a gap.
    :ivar horizon: metric seconds.
    :ivar limit: what the forecast will be held against; the gate then looks at false alarms too.
    """

    name: str
    history: History
    end: float
    horizon: float
    limit: Limit | None = None


def forecast_many(asked: Sequence[Asked], shelf: Shelf) -> dict[str, Outlook | Blocked]:
    """Return the outlook of each metric by its name, or why its bucket cannot be fitted."""
    groups: dict[tuple[float, float, tuple[int, ...]], list[Asked]] = defaultdict(list)
    for one in asked:
        step = one.history.step
        groups[step, one.end, steps(one.horizon, step, _MOST_STEPS)].append(one)
    found: dict[str, Outlook | Blocked] = {}
    for (step, end, horizons), members in groups.items():
        for bucket in _buckets(members):
            try:
                fits = _followed(bucket, _batch(bucket, step, end), horizons, shelf)
                found |= _outlooks(bucket, fits)
            except UNFIT as error:
                found |= dict.fromkeys((one.name for one in bucket), unfit(error))
    return found


def _outlooks(
    bucket: Sequence[Asked], fits: Sequence[tuple[list[str], FleetFit]]
) -> dict[str, Outlook | Blocked]:
    members = {one.name: one for one in bucket}
    found: dict[str, Outlook | Blocked] = {}
    for names, fit in fits:
        paths = _paths(fit)
        for row, name in enumerate(names):
            one = members[name]
            points = int((~np.isnan(one.history.values)).sum())
            model = Model(NAME, points, MetricTime(fit.fitted_at))
            asked = _margin(one, fit, row)
            opened = gate(fit.memory.proof(row), asked.problem)
            found[name] = Outlook(paths[row], opened, model, asked.value)
    return found


def _margin(one: Asked, fit: FleetFit, row: int) -> Margin:
    """Return what is asked of a series beyond its limit, by what was claimed of it so far."""
    if one.limit is None:
        return Margin()
    past = one.history
    gap = np.full(round((one.end - past.end) / fit.step), np.nan)
    whole = History(past.start, past.step, np.concatenate([past.values, gap]))
    claimed = fit.memory.claims.of(row, one.limit.quantile)
    spread = float(fit.memory.tracking.spread[row].max())
    return margin_of_claims(whole, claimed, max(fit.horizons), spread, one.limit)


def _buckets(members: Sequence[Asked]) -> list[list[Asked]]:
    """Return the members in buckets, so that one that comes or goes disturbs few others."""
    count = 1 << max(0, math.ceil(math.log2(len(members) / _BUCKET)))
    found: dict[int, list[Asked]] = defaultdict(list)
    for one in sorted(members, key=lambda one: one.name):
        found[int.from_bytes(blake3(one.name.encode()).digest(4)) % count].append(one)
    return list(found.values())


def _batch(bucket: Sequence[Asked], step: float, end: float) -> Batch:
    cells = round(MOST_HISTORY / step)
    values = np.full((len(bucket), cells), np.nan, dtype=np.float32)
    for row, one in enumerate(bucket):
        missing = round((end - one.history.end) / step)
        mine = one.history.values[-(cells - missing) :]
        values[row, cells - missing - len(mine) : cells - missing] = mine
    return Batch.of(end - (cells - 1) * step, step, values)


def _followed(
    bucket: Sequence[Asked], batch: Batch, horizons: tuple[int, ...], shelf: Shelf
) -> list[tuple[list[str], FleetFit]]:
    """Return the fits of a bucket at the end of its batch, kept ones if they can go on."""
    names = [one.name for one in bucket]
    what = "\n".join([VERSION, f"{batch.step:g} {horizons}", *names])
    key = f"fleet:{blake3(what.encode()).hexdigest(16)}"
    text = shelf.get(key)
    kept = None if text is None else _resumed(text, batch, horizons)
    fits, moved = kept or (Fleet().fit(batch, horizons), True)
    if moved:
        shelf.put(key, _text([_state(rows, fit, batch) for rows, fit in fits]))
    return [([names[row] for row in rows], fit) for rows, fit in fits]


_Fits: TypeAlias = list[tuple[Index, FleetFit]]


def _resumed(text: str, batch: Batch, horizons: tuple[int, ...]) -> tuple[_Fits, bool] | None:
    """Return the kept fits, brought to the end of a batch, and whether any cell had come.

    ``None`` where they cannot go on, or what was kept cannot be read.
    """
    try:
        return _gone_on(_loaded(text), batch, horizons)
    except (ValueError, LookupError, OSError, EOFError, BadZipFile, zlib.error):
        return None


def _gone_on(
    kept: Sequence[State], batch: Batch, horizons: tuple[int, ...]
) -> tuple[_Fits, bool] | None:
    fits, moved = [], False
    for state in kept:
        rows, newest = state["rows"], float(state["newest"])
        coming = round((batch.end - newest) / batch.step)
        known = batch.cells - coming
        if not 0 <= coming <= batch.cells_in(_REFIT) or not _is_same(state, batch, known):
            return None
        part = begun(batch.only(rows))
        seen = part.cells - coming
        first = max(0, seen - window(batch))
        fit = FleetFit.resume(Fleet(), part.cut(first, seen), horizons, state)
        fit.update(part.values[:, seen:])
        if batch.end - fit.fitted_at >= _REFIT:
            fit.refit()
        fits.append((rows, fit))
        moved = moved or coming > 0
    return (fits, moved) if fits else None


def _is_same(state: State, batch: Batch, known: int) -> bool:
    """Return whether the newest cells that a fit had seen are still what they were."""
    seen: Cells = state["seen"]
    here = batch.values[state["rows"], known - seen.shape[1] : known]
    alike = np.isclose(here, seen, rtol=1e-5, equal_nan=True).mean(axis=1)
    return bool((alike >= _ALIKE).all())


def _state(rows: Index, fit: FleetFit, batch: Batch) -> State:
    return {
        **fit.state(),
        "rows": rows,
        "newest": np.array(batch.end),
        "seen": batch.values[rows, -min(_REMEMBERED, batch.cells) :],
    }


def _text(states: Sequence[State]) -> str:
    named: dict[str, Any] = {
        f"{k}/{name}": value for k, state in enumerate(states) for name, value in state.items()
    }
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **named)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _loaded(text: str) -> list[State]:
    states: dict[int, State] = defaultdict(dict)
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
        for key in file.files:
            part, name = key.split("/", 1)
            states[int(part)][name] = file[key]
    return [states[k] for k in sorted(states)]


def _paths(fit: FleetFit) -> list[tuple[Quantiles, ...]]:
    """Return what is expected of each series, as plain values."""
    times = [MetricTime(fit.newest + (ahead - 0.5) * fit.step) for ahead in fit.horizons]
    points, values = fit.points().tolist(), fit.predict(LEVELS).tolist()
    return [
        tuple(
            Quantiles(at, point, LEVELS, tuple(said))
            for at, point, said in zip(times, mine, quantiles, strict=True)
        )
        for mine, quantiles in zip(points, values, strict=True)
    ]
