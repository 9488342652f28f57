from dataclasses import replace
from typing import Any

import pytest

from foreshadow.decide.reading import Question, Reading, read
from foreshadow.decide.verdict import Case, decide, trigger_of
from foreshadow.domain.clock import MetricTime, WallTime, parse_instant
from foreshadow.domain.decision import Block, Blocked, Gate, Model, Ranked, Trigger, Verdict
from foreshadow.forecast.outlook import Alarm, Outlook, Quantiles

AT = MetricTime(parse_instant("2017-09-13T05:30:00Z"))
HOUR = 3600.0
OPEN = Gate(True, 0.3, 0.79, "it is good")
SHUT = Gate(False, -0.1, 0.79, "it was worse than the naive one")
QUESTION = Question(AT, 3 * HOUR, 0.8, 0.8)


def outlook(*points: float, gate: Gate = OPEN, spread: float = 0.1) -> Outlook:
    """Hourly values, the first one half an hour from now; quantiles a line around each."""
    levels = (0.1, 0.5, 0.8, 0.9)
    path = tuple(
        Quantiles(
            MetricTime(AT + (k + 0.5) * HOUR),
            point,
            levels,
            tuple(point + spread * (level - 0.5) for level in levels),
        )
        for k, point in enumerate(points)
    )
    return Outlook(path, gate, Model("prophet+ar", 500, AT))


def reading(now: float | None, *points: float, gate: Gate = OPEN) -> Reading:
    return read("utilization", QUESTION, now, 0.5, outlook(*points, gate=gate))


def case(*readings: Reading, **keys: Any) -> Case:
    questions = {r.name: replace(QUESTION, threshold=r.signal.threshold) for r in readings}
    return Case("shop", "edge-a", AT, WallTime(0.0), 900.0, readings, questions, **keys)


def test_the_breach_is_where_the_quantile_passes_the_threshold() -> None:
    rising = reading(0.57, 0.67, 0.87, 0.97)
    assert rising.foreseen
    # The 0.8 quantile is 0.03 above: 0.70 half an hour from now, 0.90 an hour later.
    assert rising.signal.breach_at is not None
    assert round(rising.signal.breach_at - AT) == round(HOUR)
    assert rising.signal.predicted == pytest.approx(1.0)
    assert rising.signal.lower == pytest.approx(0.93)
    assert rising.probability == 0.9  # as far as the known quantiles reach


def test_a_breach_beyond_the_horizon_is_none() -> None:
    late = reading(0.5, 0.5, 0.5, 0.5, 0.99)
    assert late.signal.breach_at is None
    assert not late.foreseen


def test_the_forecast_switches_with_a_sentence_that_has_numbers_and_times() -> None:
    made = decide(case(reading(0.57, 0.67, 0.87, 0.97)), Ranked("edge-b", 0.7))
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.FORECAST)
    assert made.lead_seconds is not None
    assert round(made.lead_seconds) == HOUR
    assert made.reasons[0] == (
        "utilization is forecast to pass 0.80 at 06:30 UTC (in 1h), "
        "reaching 1.00 (80 % interval 0.93 to 1.01) on edge-a"
    )
    assert made.plain()["destination"]["host"] == "edge-b"


def test_what_blocks_is_named_and_the_destination_still_told() -> None:
    blocked = Blocked(Block.COOLDOWN, "it was moved 5m ago")
    made = decide(case(reading(0.57, 0.67, 0.87)), Ranked("edge-b", 0.7), [blocked])
    assert (made.verdict, made.blocked_by) == (Verdict.BLOCKED, (Block.COOLDOWN,))
    assert made.reasons[1] == "it was moved 5m ago"


def test_a_closed_gate_shows_the_forecast_and_lets_it_do_nothing() -> None:
    closed = reading(0.57, 0.67, 0.87, gate=SHUT)
    assert trigger_of([closed]) is Trigger.NONE
    made = decide(case(closed))
    assert (made.verdict, made.blocked_by) == (Verdict.BLOCKED, (Block.GATE,))
    assert made.breach_at == closed.signal.breach_at
    assert "worse than the naive one" in " ".join(made.reasons)


def test_an_observed_breach_acts_through_a_closed_gate_and_without_any_forecast() -> None:
    seen = reading(0.85, 0.5, gate=SHUT)
    bare = read("utilization", QUESTION, 0.85, None, None, Blocked(Block.HISTORY, "too short"))
    for observed in (seen, bare):
        made = decide(case(observed), Ranked("edge-b", 0.7))
        assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.OBSERVED)
        assert made.lead_seconds == 0.0
        assert made.reasons[0] == "utilization is 0.85 on edge-a, above its limit of 0.80"


def test_without_a_breach_it_stays_and_says_how_high_it_gets() -> None:
    made = decide(case(reading(0.4, 0.5, 0.55)))
    assert (made.verdict, made.trigger, made.blocked_by) == (Verdict.STAY, Trigger.NONE, ())
    assert made.reasons[0].startswith("utilization is forecast to stay below 0.80 in the next 3h")


def test_a_metric_that_cannot_be_forecast_is_told_but_only_blindness_is_a_block() -> None:
    why = Blocked(Block.HISTORY, "the history is too short")
    latency = read("latency", replace(QUESTION, threshold=0.25), 0.02, 0.02, None, why)
    both = decide(case(reading(0.4, 0.5), latency))
    assert both.blocked_by == ()
    assert "latency: the history is too short" in both.reasons
    alone = decide(case(latency))
    assert (alone.verdict, alone.blocked_by) == (Verdict.STAY, (Block.HISTORY,))


def test_the_open_gate_speaks_first_and_the_earliest_breach_counts() -> None:
    shut = reading(0.57, 0.9, gate=SHUT)
    late = read("latency", replace(QUESTION, threshold=0.8), 0.1, 0.1, outlook(0.2, 0.4, 0.9))
    made = decide(case(shut, late), Ranked("edge-b", 0.7))
    assert made.verdict is Verdict.SWITCH
    assert made.gate.open
    assert made.reasons[0].startswith("latency is forecast to pass 800 ms")


def test_the_same_verdict_within_a_tick_is_the_same_decision() -> None:
    first = decide(case(reading(0.4, 0.5)))
    soon = decide(replace(case(reading(0.4, 0.5)), at=MetricTime(AT + 60)))
    later = decide(replace(case(reading(0.4, 0.5)), at=MetricTime(AT + 900)))
    assert first.id == soon.id != later.id


def test_without_any_metric_there_is_a_reason_in_words() -> None:
    made = decide(case())
    assert made.verdict is Verdict.STAY
    assert made.reasons


def test_a_breach_within_the_margin_waits_and_says_by_how_much() -> None:
    rising = replace(outlook(0.67, 0.79, 0.81), margin=0.1)
    near = read("utilization", QUESTION, 0.57, 0.5, rising)
    assert near.signal.breach_at is not None
    assert not near.foreseen
    made = decide(case(near))
    assert (made.verdict, made.trigger) == (Verdict.STAY, Trigger.NONE)
    assert "less than what keeps false alarms within their budget" in made.reasons[0]
    clear = read("utilization", QUESTION, 0.57, 0.5, replace(rising, margin=0.01))
    assert clear.foreseen


def test_the_trigger_model_decides_instead_of_the_margin_and_its_probability_is_told() -> None:
    low = Alarm(0.12, False, 0.35, 240)
    high = Alarm(0.64, True, 0.35, 240)
    rising = replace(outlook(0.67, 0.87, 0.97), margin=5.0)
    waits = read("utilization", QUESTION, 0.57, 0.5, replace(rising, alarm=low))
    made = decide(case(waits))
    assert (made.verdict, made.trigger, made.probability) == (Verdict.STAY, Trigger.NONE, 0.12)
    assert made.reasons[0].endswith(
        "but a breach within the hour has a probability of 12%, as 240 breaches of the past "
        "taught, and an alarm needs 35%"
    )
    stands = read("utilization", QUESTION, 0.57, 0.5, replace(rising, alarm=high))
    made = decide(case(stands), Ranked("edge-b", 0.7))
    assert (made.verdict, made.trigger, made.probability) == (
        Verdict.SWITCH,
        Trigger.FORECAST,
        0.64,
    )


def test_an_alarm_where_the_path_stays_below_says_why_and_when_it_is_nearest() -> None:
    alarm = Alarm(0.64, True, 0.35, 240)
    flat = replace(outlook(0.67, 0.75, 0.7), alarm=alarm)
    foreseen = read("utilization", QUESTION, 0.57, 0.5, flat)
    assert foreseen.foreseen
    assert foreseen.signal.breach_at == foreseen.worst_at
    made = decide(case(foreseen), Ranked("edge-b", 0.7))
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.FORECAST)
    assert made.reasons[0] == (
        "utilization is forecast to stay below 0.80 in the next 3h, reaching 0.78 (80 % interval "
        "0.71 to 0.79) on edge-a; yet an alarm was raised within the last hour, and stands: a "
        "breach within the hour has a probability of 64%, as 240 breaches of the past taught; an "
        "alarm needs 35%"
    )
    shut = read("utilization", QUESTION, 0.57, 0.5, replace(flat, gate=SHUT))
    assert decide(case(shut)).blocked_by == (Block.GATE,)
    observed = read("utilization", QUESTION, 0.85, 0.5, replace(flat, alarm=Alarm(0, False, 1, 1)))
    assert trigger_of([observed]) is Trigger.OBSERVED
