"""Alarms before breaches: how many are foreseen at one false alarm a week, and by whom.

Each series of a five-minute grid gives two lessons, with its 95 % and its 98 % quantile as the
limit; what counts begins after two weeks (or half). Machines are dealt into folds: a model learns
from three of them, its cut is fixed on the fourth, and it is measured on the fifth. Every method's
cut is fixed on the same fourth. An onset is recurring when there was one within an hour of the same
time of day on three of the seven days before. Intervals are of a paired bootstrap over machines.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foreshadow.forecast.history import Array
from foreshadow.forecast.trigger.events import Flags, Reach, score
from foreshadow.forecast.trigger.features import NAMES
from foreshadow.forecast.trigger.model import Judged, Lesson, cut_for, train
from tests.bench.holt_winters import highest_ahead
from tests.bench.table import Row, report

STEP = 300.0
PER_DAY = 288
FOLDS = 5
BUDGET, BEARABLE = 1.0, 1.25
LEVELS = (95, 98)
TARGETS = {
    "recall": (0.22, 0.26),
    "recall of recurring": (0.60, 0.80),
    "average precision": (0.18, 0.11),
}
OURS, COUNTS, SMOOTHING = "ours", "breach-history counts", "Holt-Winters"
REPEATS = 1000
SEED = 20261124


@dataclass(frozen=True)
class Case:
    """One series with one limit, and what each method says of it."""

    group: str
    machine: str
    level: int
    lesson: Lesson
    recurring: Flags
    said: dict[str, Judged]


@dataclass(frozen=True)
class Result:
    """How one method went on one case."""

    caught: Flags
    leads: Array
    false_a_week: float


def cases(folder: Path) -> list[Case]:
    """Return the series of a folder, each with its limits and the baselines' scores."""
    found = []
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        times = [row[0] for row in rows[:2]]
        if _minutes(times[1]) - _minutes(times[0]) not in (5, 5 - 1440):
            continue
        cells = np.array([[float(cell or "nan") for cell in row[1:]] for row in rows])
        for name, column in zip(head[1:], cells.T, strict=True):
            present = np.flatnonzero(~np.isnan(column))
            values = column[present[0] : present[-1] + 1]
            found += _of_series(path.name.split(".")[0], name, values)
    return found


def _minutes(stamp: str) -> int:
    return int(stamp[11:13]) * 60 + int(stamp[14:16])


def _of_series(group: str, name: str, values: Array) -> list[Case]:
    machine = name.rpartition("_")[0] if name.endswith(("_avg", "_max")) else name
    since = min(14 * PER_DAY, len(values) // 2)
    smoothed = highest_ahead(values, PER_DAY, Reach.of(STEP))
    made = []
    for level in LEVELS:
        lesson = Lesson(values, float(np.nanpercentile(values, level)), STEP, since)
        origins = lesson.origins()
        rows = lesson.features(origins)
        counts = np.nan_to_num(rows[:, NAMES.index("onsets about then, daily")]).astype(np.float64)
        # Ties are broken by how near the limit is.
        counts += 1e-6 * rows[:, NAMES.index("margin")]
        truth = lesson.truth(origins)
        said = {
            COUNTS: Judged(lesson, origins, counts, truth),
            SMOOTHING: Judged(lesson, origins, smoothed[origins] - lesson.threshold, truth),
        }
        spread = float(np.nanstd(values[:since])) or 1.0
        said[SMOOTHING] = replace(said[SMOOTHING], scores=said[SMOOTHING].scores / spread)
        made.append(Case(group, machine, level, lesson, _recurring(lesson), said))
    return made


def _recurring(lesson: Lesson) -> Flags:
    begun = lesson.onsets()
    whole = Lesson(lesson.values, lesson.threshold, lesson.step, 0).onsets()
    seen = [
        sum(bool((np.abs(whole - (cell - k * PER_DAY)) <= 12).any()) for k in range(1, 8))
        for cell in begun
    ]
    return np.array(seen, dtype=np.int64) >= 3


def folds(found: Sequence[Case]) -> list[list[Case]]:
    """Return the cases dealt by machine, so that a series and its twin are together."""
    machines = sorted({case.machine for case in found})
    order = np.random.default_rng(SEED).permutation(len(machines))
    place = {machines[k]: int(i) % FOLDS for i, k in enumerate(order)}
    return [[case for case in found if place[case.machine] == k] for k in range(FOLDS)]


def learn(parts: list[list[Case]]) -> None:
    """Let a model of the other series speak about each series, and fix every cut on others."""
    for k, tested in enumerate(parts):
        judge = parts[(k + 1) % FOLDS]
        others = [case for j in range(2, FOLDS) for case in parts[(k + j) % FOLDS]]
        lessons = [Lesson.of(c.lesson.values, c.lesson.threshold, STEP) for c in others]
        model = train(lessons, [case.lesson for case in judge])
        for case in tested:
            case.said[OURS] = Judged.by(model.trees, case.lesson)
        for level in LEVELS:
            mine = [case for case in judge if case.level == level]
            cuts = {OURS: cut_for([Judged.by(model.trees, c.lesson) for c in mine], BUDGET)}
            cuts |= {m: cut_for([c.said[m] for c in mine], BUDGET) for m in (COUNTS, SMOOTHING)}
            for case in tested:
                if case.level == level:
                    _CUTS[id(case)] = cuts
        chance = model.calibration.probability(
            np.concatenate([case.said[OURS].scores for case in tested])
        )
        _CHANCES.append((chance, np.concatenate([case.said[OURS].truth for case in tested])))
        print(f"trigger: fold {k + 1} of {FOLDS}", file=sys.stderr)


_CUTS: dict[int, Mapping[str, float]] = {}
_CHANCES: list[tuple[Array, Flags]] = []


def result(case: Case, method: str) -> Result:
    """Return how a method went on a case at the cut that others fixed."""
    said = case.said[method]
    cut = _CUTS[id(case)][method]
    went = score(said.alarms(cut), case.lesson.onsets(), STEP)
    return Result(went.caught, went.leads, said.false_a_week(cut))


def average_precision(scores: Array, truth: Flags) -> float:
    """Return the mean precision at each true origin, origins ranked by score."""
    ranked = truth[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean()) if ranked.any() else 0.0


def gain(found: Sequence[Case], results: Mapping[str, list[Result]], rival: str) -> Array:
    """Return quantiles (2.5 %, 50 %, 97.5 %) of our recall beyond a rival's, over machines."""
    by_machine: dict[str, list[int]] = defaultdict(list)
    for k, case in enumerate(found):
        by_machine[case.machine].append(k)
    totals = np.array(
        [
            [
                sum(results[OURS][k].caught.sum() for k in mine),
                sum(results[rival][k].caught.sum() for k in mine),
                sum(len(results[OURS][k].caught) for k in mine),
            ]
            for mine in by_machine.values()
        ],
        dtype=np.float64,
    )
    draws = np.random.default_rng(SEED).integers(0, len(totals), (REPEATS, len(totals)))
    ours, theirs, all_of_them = totals[draws].sum(axis=1).T
    more: Array = np.quantile((ours - theirs) / np.maximum(all_of_them, 1), (0.025, 0.5, 0.975))
    return more


def rows(folder: Path) -> list[Row]:
    """Return the figures of the trigger on the series of a folder."""
    found = cases(folder)
    if len({case.machine for case in found}) < FOLDS:
        print(f"trigger: left out, {folder} has too few series on a grid of five minutes")
        return []
    learn(folds(found))
    made = []
    for which, level in enumerate(LEVELS):
        mine = [case for case in found if case.level == level]
        results = {m: [result(case, m) for case in mine] for m in (OURS, COUNTS, SMOOTHING)}
        made += _level_rows(mine, results, which)
    chance = np.concatenate([each[0] for each in _CHANCES])
    truth = np.concatenate([each[1] for each in _CHANCES])
    for low, high in ((0.05, 0.2), (0.2, 0.5), (0.5, 1.01)):
        told = (chance >= low) & (chance < high)
        if told.any():
            name = f"trigger: came of what was told {low:.0%} to {min(high, 1):.0%}"
            made.append(
                Row(name, 100 * float(truth[told].mean()), "%", 100 * float(chance[told].mean()))
            )
    return made


def _level_rows(mine: Sequence[Case], results: Mapping[str, list[Result]], which: int) -> list[Row]:
    name = f"trigger p{LEVELS[which]}"
    recurring = np.concatenate([case.recurring for case in mine])
    figures: dict[str, dict[str, float]] = defaultdict(dict)
    for method, went in results.items():
        caught = np.concatenate([each.caught for each in went])
        said = [case.said[method] for case in mine]
        figures["recall"][method] = float(caught.mean())
        figures["recall of recurring"][method] = float(caught[recurring].mean())
        figures["average precision"][method] = average_precision(
            np.concatenate([s.scores for s in said]), np.concatenate([s.truth for s in said])
        )
    ours = results[OURS]
    false = float(np.mean([each.false_a_week for each in ours]))
    leads = np.concatenate([each.leads for each in ours])
    lead = float(np.median(leads)) / 60 if len(leads) else 0.0
    made = [
        Row(f"{name}: false alarms", false, "a week", BEARABLE, false <= BEARABLE),
        Row(
            f"{name}: onsets, of which recurring",
            len(recurring),
            "",
            None,
            None,
            int(recurring.sum()),
        ),
    ]
    for what, by in figures.items():
        target = TARGETS[what][which]
        best = max(by[COUNTS], by[SMOOTHING])
        made.append(Row(f"{name}: {what}", by[OURS], "", target, by[OURS] >= target, best))
    made.append(Row(f"{name}: median lead", lead, "min", 40.0, lead >= 40.0))
    for rival in (COUNTS, SMOOTHING):
        low, middle, high = gain(mine, results, rival)
        false = float(np.mean([each.false_a_week for each in results[rival]]))
        print(f"{name}: recall beyond {rival} {middle:+.3f} [{low:+.3f}, {high:+.3f}], "
              f"which has {false:.2f} false alarms a week")  # fmt: skip
        made.append(
            Row(f"{name}: recall beyond {rival}, lower end", float(low), "", 0.0, bool(low > 0))
        )
    return made


if __name__ == "__main__":
    report("forecast-trigger", rows(Path(sys.argv[1])))
