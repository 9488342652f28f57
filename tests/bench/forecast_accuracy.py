"""How accurate and how honest forecasts are: all methods at the same origins of the same series."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foreshadow.forecast.history import DAY, Array
from tests.bench import rivals
from tests.bench.forecast_series import AHEAD, Trial
from tests.bench.table import Row
from tests.support.whole import Whole

OURS = "ours"
LEVELS = (0.025, 0.1, 0.9, 0.975)
WINDOW = 14 * DAY
DRAWS = 2000
SEED = 20261124


@dataclass(frozen=True)
class Judged:
    """What one method or all of them were worth on the series of one trial.

    :ivar mase: by method, shape (series, horizons).
    :ivar covered: of the 80 % and the 95 % interval, shape (series, horizons, 2).
    """

    group: str
    mase: dict[str, Array]
    covered: Array


def judge(trial: Trial, theirs: dict[str, Array] | None = None) -> Judged:
    """Return how all methods did; ``theirs`` are points of more methods at the same origins."""
    ours, quantiles = _ours(trial)
    points = {OURS: ours, **_rivals(trial), **(theirs or {})}
    came, scales = trial.came(), trial.scales[:, None]
    known = np.isfinite(came)
    mase = {
        name: np.array(np.nanmean(np.abs(said - came), axis=1) / scales)
        for name, said in points.items()
    }
    inside = np.stack(
        [(quantiles[..., low] <= came) & (came <= quantiles[..., high]) for low, high in _BOUNDS],
        axis=3,
    )
    covered = np.where(known[..., None], inside, np.nan)
    return Judged(trial.group, mase, np.nanmean(covered, axis=1))


_BOUNDS = ((1, 2), (0, 3))


def _ours(trial: Trial) -> tuple[Array, Array]:
    """Return points and quantiles of the fleet model, tick by tick, fitted anew each day."""
    batch, day = trial.batch, trial.batch.cells_in(DAY)
    fit = Whole(batch.cut(0, trial.first), trial.horizons)
    points, said = [], []
    for cell in range(trial.first, batch.cells):
        points.append(fit.points())
        said.append(fit.predict(LEVELS))
        fit.update(batch.values[:, cell : cell + 1])
        if (cell + 1 - trial.first) % day == 0:
            fit.refit()
    return np.stack(points, axis=1).astype(np.float64), np.stack(said, axis=1)


def _rivals(trial: Trial) -> dict[str, Array]:
    """Return the points of each rival, fitted at the beginning of the test."""
    batch = trial.batch
    begin = max(0, trial.first - batch.cells_in(WINDOW))
    fitted = rivals.fit_all(batch.cut(begin, trial.first), trial.horizons)
    seen = batch.cut(begin, batch.cells - 1)
    origin = trial.first - 1 - begin
    return {
        name: np.asarray(fit.replay(seen, origin), dtype=np.float64) for name, fit in fitted.items()
    }


def every(judged: list[Judged]) -> Judged:
    """Return all series as one; only methods that all trials know are kept."""
    names = [name for name in judged[0].mase if all(name in one.mase for one in judged)]
    mase = {name: np.concatenate([one.mase[name] for one in judged]) for name in names}
    return Judged("all", mase, np.concatenate([one.covered for one in judged]))


def unseen(judged: Judged) -> Judged:
    """Return each second series of a trial: those on which no setting was chosen.

    Settings were chosen on the others of the development set. A series that is alone on its grid
    was among those.
    """
    mase = {name: value[1::2] for name, value in judged.mase.items()}
    return replace(judged, mase=mase, covered=judged.covered[1::2])


def ratios(
    title: str, judged: Judged, peer: str | Array, targets: tuple[float | None, ...]
) -> list[Row]:
    """Return the rows of ours over a peer, with a bootstrap interval over series."""
    ours = judged.mase[OURS]
    theirs = judged.mase[peer] if isinstance(peer, str) else peer
    usable = (
        (ours > 0).all(axis=1) & (theirs > 0).all(axis=1) & np.isfinite(ours + theirs).all(axis=1)
    )
    logs = np.log(ours[usable] / theirs[usable])
    draws = np.random.default_rng(SEED).integers(0, len(logs), (DRAWS, len(logs)))
    spread = np.exp(np.quantile(logs[draws].mean(axis=1), (0.025, 0.975), axis=0))
    rows = []
    for k, (ahead, target) in enumerate(zip(AHEAD, targets, strict=True)):
        value = float(np.exp(logs[:, k].mean()))
        name = f"MASE {ahead / 60:.0f} min, ours / {title} (n={len(logs)})"
        interval = f"[{spread[0, k]:.3f}, {spread[1, k]:.3f}]"
        rows.append(Row(name, value, interval, target, None if target is None else value <= target))
    return rows


def best_of(judged: Judged, names: tuple[str, ...]) -> Array:
    """Return the MASE of the best method for each series and horizon, known in hindsight."""
    return np.asarray(np.min([judged.mase[name] for name in names], axis=0))


def coverage(judged: list[Judged]) -> list[Row]:
    """Return the coverage of each group."""
    rows = []
    for group in dict.fromkeys(one.group for one in judged):
        mine = np.concatenate([one.covered for one in judged if one.group == group])
        for k, (claim, low, high) in enumerate(((80, 78, 82), (95, 94, 96))):
            value = 100 * float(np.nanmean(mine[..., k]))
            rows.append(
                Row(f"coverage of {claim} %, {group}", value, "%", claim, low <= value <= high)
            )
    return rows
