"""The plots of the report: each takes facts and gives one inline ``<svg>``."""

from __future__ import annotations

from datetime import UTC

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from foreshadow.domain.clock import MetricTime, isoformat
from foreshadow.domain.moves import StepState, Switchover
from foreshadow.report.clients import OURS, Clients
from foreshadow.report.facts import Points, Trajectory
from foreshadow.report.ink import ACCENT, ALERT, INK, MUTED, End, end_notes, figure, note, svg
from foreshadow.report.words import span

MILLISECOND = 1000.0
PAST = 8
"""How much of the past is drawn, in lengths of the forecast."""
DAY = 86400.0
"""Matplotlib counts time in days since 1970."""


def forecast(trajectory: Trajectory, moved_at: MetricTime | None, key: str) -> str:
    """Return the metric, its forecast with the interval, the threshold and the breach.

    :param moved_at: metric time at which the traffic moved.
    """
    scale, unit = (100.0, "%") if trajectory.unit == "ratio" else (MILLISECOND, "ms")
    seen = _recent(trajectory)
    now = seen[-1:]
    with figure(34) as (fig, axes):
        _line(axes, seen, scale, color=INK)
        _line(axes, now + trajectory.expected, scale, color=ACCENT)
        if trajectory.lower and trajectory.upper:
            lower, upper = now + trajectory.lower, now + trajectory.upper
            axes.fill_between(
                _times(lower), _values(lower, scale), _values(upper, scale),
                color=ACCENT, alpha=0.16, linewidth=0,
            )  # fmt: skip
        axes.margins(x=0.02)
        drawn = [*seen, *trajectory.expected, *trajectory.upper]
        highest = max([trajectory.threshold or 0.0, *(value for _, value in drawn)])
        axes.set_ylim(0, highest * scale * 1.15 or 1.0)
        if trajectory.threshold is not None:
            _limit(axes, trajectory.threshold * scale,
                   f"threshold {trajectory.threshold * scale:,.0f} {unit}")  # fmt: skip
        _moment(axes, trajectory.at, "decided", MUTED, right=False)
        _moment(axes, moved_at, "moved", ACCENT)
        _moment(axes, trajectory.breach_at, "breach expected", ALERT, row=1)
        _clock(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} {unit}"))
        if seen:
            note(axes, "measured", _point(seen[0], scale), INK, shift=(0, 10))
        ends = [End("forecast", _point(at, scale), ACCENT, True) for at in trajectory.expected[-1:]]
        end_notes(fig, axes, ends)
        return svg(fig, key, _told(trajectory))


def timeline(move: Switchover, key: str) -> str:
    """Return the steps of a switchover as bars on the seconds since its start."""
    steps = [step for step in move.steps if step.ended_at is not None]
    with figure(5 + 3.4 * max(2, len(steps))) as (fig, axes):
        longest = max((_since(move, step.ended_at) for step in steps), default=1.0)
        for row, step in enumerate(steps):
            start, end = _since(move, step.started_at), _since(move, step.ended_at)
            wrong = step.state is not StepState.DONE
            axes.barh(row, max(end - start, longest / 400), left=start, height=0.56,
                      color=ALERT if wrong else ACCENT)  # fmt: skip
            text = span(end - start) + (f" {step.state.value}" if wrong else "")
            left = end > 0.8 * longest and start > 0.12 * longest
            note(axes, text, (start if left else end, row), ALERT if wrong else MUTED,
                 shift=(-5 if left else 5, 0), align="right" if left else "left")  # fmt: skip
        axes.set_yticks(range(len(steps)), [step.name.replace("_", " ") for step in steps])
        for name in axes.get_yticklabels():
            name.set(color=INK, parse_math=False)
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.02)
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
        listed = ", ".join(
            f"{step.name} {span(_since(move, step.ended_at) - _since(move, step.started_at))}"
            for step in steps
        )
        return svg(fig, key, f"Steps from {move.source} to {move.destination}: {listed}.")


def latency(clients: Clients, moved_at: MetricTime | None, limit: float | None, key: str) -> str:
    """Return the p99 that clients saw in each run, failures marked, on a logarithmic scale.

    :param limit: the latency in seconds from which the service counts as breached.
    """
    with figure(34) as (fig, axes):
        axes.set_yscale("log")
        for name, run in sorted(clients.runs.items(), key=lambda item: item[0] == OURS):
            ours = name == OURS
            points: Points = tuple(
                (MetricTime(i.at), max(i.p99, 1e-4)) for i in run.intervals if i.p99 is not None
            )
            if not points:
                continue
            color = ACCENT if ours else MUTED
            _line(axes, points, MILLISECOND, color=color, width=2.0 if ours else 1.3)
            top = _point(max(points, key=lambda point: point[1]), MILLISECOND)
            note(axes, _run(name), top, color, shift=(-6, 2) if not ours else (0, 12),
                 align="center" if ours else "right", strong=ours)  # fmt: skip
            lost = [(MetricTime(i.at), i.p99 or 1e-4) for i in run.intervals if i.failed]
            axes.plot(_times(tuple(lost)), _values(tuple(lost), MILLISECOND), linestyle="",
                      marker="x", markersize=5, color=ALERT)  # fmt: skip
        axes.margins(x=0.02, y=0.12)
        if limit is not None:
            _limit(axes, limit * MILLISECOND, f"limit {span(limit)}")
        _moment(axes, moved_at, "moved", ACCENT)
        _clock(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: span(value / MILLISECOND)))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        told = "; ".join(
            f"{_run(name)} at most {span(run.worst_p99)}, {run.failed} of {run.requests} failed"
            for name, run in clients.runs.items()
        )
        return svg(fig, key, f"99th percentile of the latency that clients saw: {told}.")


def staleness(clients: Clients, limit: float, key: str) -> str:
    """Return the age of each shadow's state as it was sampled.

    :param limit: the age in seconds from which a shadow is too stale to take over.
    """
    samples = clients.runs[OURS].staleness
    hosts = sorted({age.host for age in samples})
    ends = []
    with figure(22) as (fig, axes):
        for number, host in enumerate(hosts):
            points: Points = tuple(
                (MetricTime(age.at), age.seconds) for age in samples if age.host == host
            )
            color, style = (ACCENT, MUTED, INK)[number % 3], ("-", "-", ":")[number % 3]
            _line(axes, points, 1.0, color=color, style=style, width=1.2)
            ends.append(End(host, _point(points[-1], 1.0), color))
        axes.margins(x=0.02)
        axes.set_ylim(0, limit * 1.2)
        _limit(axes, limit, f"limit {span(limit)}")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
        _clock(axes)
        end_notes(fig, axes, ends)
        worst = max(age.seconds for age in samples)
        told = (
            f"Age of the state on {', '.join(hosts)}: at most {span(worst)}, limit {span(limit)}."
        )
        return svg(fig, key, told)


def _recent(trajectory: Trajectory) -> Points:
    """Return as much of the past as lets the forecast still be seen beside it."""
    if not trajectory.expected:
        return trajectory.seen
    ahead = trajectory.expected[-1][0] - trajectory.at
    return tuple(row for row in trajectory.seen if row[0] >= trajectory.at - PAST * ahead)


def _line(
    axes: Axes, points: Points, scale: float, *, color: str, width: float = 1.6, style: str = "-"
) -> None:
    axes.plot(_times(points), _values(points, scale), color=color, linewidth=width, linestyle=style)


def _limit(axes: Axes, height: float, text: str) -> None:
    """Draw a horizontal line that must not be crossed, and name it at its left end."""
    axes.axhline(height, color=ALERT, linewidth=1.0, dashes=(4, 3))
    axes.annotate(
        text, (0.0, height), xycoords=("axes fraction", "data"), xytext=(4, 7),
        textcoords="offset points", color=ALERT, ha="left", va="center",
    )  # fmt: skip


def _moment(
    axes: Axes, at: float | None, text: str, color: str, *, right: bool = True, row: int = 0
) -> None:
    """Draw a vertical line at a time that is in the picture, and say beside it what happened.

    :param row: from the top, so that neighbours do not cover one another.
    """
    first, last = axes.get_xlim()
    if at is None or not first <= _date(at) <= last:
        return
    axes.axvline(_date(at), color=color, linewidth=1.0)
    shift = (5 if right else -5, -4 - 13 * row)
    axes.annotate(
        text, (_date(at), 1.0), xycoords=("data", "axes fraction"), xytext=shift,
        textcoords="offset points", color=color, ha="left" if right else "right", va="center",
    )  # fmt: skip


def _clock(axes: Axes) -> None:
    locator = mdates.AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]


def _told(trajectory: Trajectory) -> str:
    name = trajectory.metric.capitalize()
    if not trajectory.expected:
        return f"{name} as measured; there is no forecast of it."
    breach = (
        f"it is expected to cross the threshold at {isoformat(trajectory.breach_at)}"
        if trajectory.breach_at is not None
        else "it is not expected to cross its threshold"
    )
    return f"{name} as measured, and its forecast: {breach}."


def _run(name: str) -> str:
    return {OURS: "with Foreshadow", "reactive": "without Foreshadow"}.get(name, name)


def _since(move: Switchover, at: float | None) -> float:
    return (at or move.started_at) - move.started_at


def _date(at: float) -> float:
    return at / DAY


def _times(points: Points) -> list[float]:
    return [_date(at) for at, _ in points]


def _values(points: Points, scale: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([value * scale for _, value in points])


def _point(point: tuple[MetricTime, float], scale: float) -> tuple[float, float]:
    return _date(point[0]), point[1] * scale
