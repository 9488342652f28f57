"""Readings as sentences."""

from __future__ import annotations

from datetime import UTC, datetime

from foreshadow.decide.reading import Question, Reading
from foreshadow.domain.clock import MetricTime
from foreshadow.domain.units import format_duration
from foreshadow.forecast.outlook import Alarm


def sentence(reading: Reading, question: Question, host: str) -> str:
    """Return what a reading says, with numbers and times."""
    signal, name = reading.signal, reading.name
    limit = "" if signal.threshold is None else amount(name, signal.threshold)
    if reading.observed and signal.now is not None:
        return f"{name} is {amount(name, signal.now)} on {host}, above its limit of {limit}"
    if signal.predicted is None or signal.lower is None or signal.upper is None:
        why = reading.problem.reason if reading.problem else "nothing is known about it"
        return f"{name}: {why}"
    reaching = (
        f"{amount(name, signal.predicted)} "
        f"(80 % interval {amount(name, signal.lower)} to {amount(name, signal.upper)}) on {host}"
    )
    below = signal.threshold is not None and signal.predicted <= signal.threshold
    if signal.breach_at is not None and not below:
        when = (
            f"at {clock(signal.breach_at, question.at)} (in {span(signal.breach_at - question.at)})"
        )
        if reading.alarm is not None:
            return _weighed(reading.alarm, f"{name} is forecast to pass {limit} {when}", reaching)
        said = f"{name} is forecast to pass {limit} {when}, reaching {reaching}"
        if not reading.foreseen:
            lacking = amount(name, reading.short_of)
            said += (
                f"; {lacking} less than what keeps false alarms within their budget, so it waits"
            )
        return said
    ahead = f"in the next {span(question.horizon)}"
    if signal.threshold is None:
        return f"{name} is forecast to reach {reaching} {ahead}; no limit is set"
    said = f"{name} is forecast to stay below {limit} {ahead}, reaching {reaching}"
    if reading.alarm is not None and reading.alarm.stands:
        said += "; yet an alarm was raised within the last hour, and stands: "
        return f"{said}{_likely(reading.alarm)}; an alarm needs {reading.alarm.needed:.0%}"
    return said


def _weighed(alarm: Alarm, claim: str, reaching: str) -> str:
    """Return a claim with what the trigger model holds of it."""
    if alarm.stands:
        return f"{claim}, reaching {reaching}; {_likely(alarm)}"
    needed = f"and an alarm needs {alarm.needed:.0%}"
    return f"{claim}, reaching {reaching}; but {_likely(alarm)}, {needed}"


def _likely(alarm: Alarm) -> str:
    return (
        f"a breach within the hour has a probability of {alarm.probability:.0%}, as {alarm.onsets} "
        "breaches of the past taught"
    )


def amount(name: str, value: float) -> str:
    """Return a value of a metric with its unit: seconds for latency, else a ratio."""
    if name != "latency":
        return f"{value:.2f}"
    return f"{value * 1000:.0f} ms" if value < 10 else f"{value:.1f} s"


def clock(at: MetricTime, today: MetricTime) -> str:
    """Return a metric time for a person: the date only where it is another day."""
    when, day = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(today, UTC).date()
    return when.strftime("%H:%M UTC" if when.date() == day else "%Y-%m-%d %H:%M UTC")


def span(seconds: float) -> str:
    """Return a stretch of time for a person: to the minute when it is long."""
    return format_duration(round(seconds / 60) * 60 if seconds >= 120 else round(seconds, 1))
