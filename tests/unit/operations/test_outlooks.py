"""Which of several kinds of demand speaks for utilization."""

from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import Gate, Model
from foreshadow.domain.series import Series
from foreshadow.domain.spec import parse_resource
from foreshadow.forecast.history import History
from foreshadow.forecast.outlook import Alarm, Outlook, Quantiles
from foreshadow.forecast.trigger import alarm as alarms
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.operations.measure import Measured
from foreshadow.operations.outlooks import Forecaster, LedgerShelf, Outlooks
from tests.unit.operations.metered import NoAgents

AT = MetricTime(1_500_336_000.0)
STEP = 300.0
LIMITS = {"cpu": 4.0, "rate": 100.0}
SPEC = parse_resource(
    {
        "name": "shop",
        "primary": "edge-a",
        "service": {"command": ["serve"], "port": 80},
        "metrics": {
            "sources": [{"kind": "told"}],
            "step": STEP,
            "demand": {
                "cpu": {"query": "q", "unit": "cores"},
                "rate": {"query": "q", "unit": "per_second"},
            },
        },
    }
)


def flat(value: float) -> Outlook:
    path = (Quantiles(MetricTime(AT + 900), value, (0.1, 0.9), (value, value)),)
    return Outlook(path, Gate(True), Model("fleet", 4000, AT))


def outlooks(folder: Path, standing: str | None, monkeypatch: pytest.MonkeyPatch) -> Outlooks:
    """Return what is foreseen of a host that is to be three quarters full by rate, half by cpu."""
    levels = {"cpu": 2.0, "rate": 75.0}

    def said(model: object, history: History, *limits: float) -> Alarm:
        kind = next(kind for kind, level in levels.items() if history.values[0] == level)
        return Alarm(0.6 if kind == standing else 0.01, kind == standing, 0.4, 300)

    monkeypatch.setattr(alarms, "alarm", said)
    agents: Any = NoAgents()
    with Ledger.open(f"sqlite:///{folder}/ledger.db", lambda: WallTime(AT)) as ledger:
        context = Context(ledger, agents, lambda: WallTime(AT))
        forecaster = Forecaster(
            SPEC,
            SPEC.triggers,
            AT,
            LedgerShelf(context, write=False),
            {f"demand {kind}": flat(level) for kind, level in levels.items()},
            {"utilization": 0.8},
            model=object(),  # type: ignore[arg-type]
        )
        start = MetricTime(AT - 99 * STEP)
        demand = {kind: Series(start, STEP, (level,) * 100) for kind, level in levels.items()}
        past = {"utilization": Series(start, STEP, (0.75,) * 100)}
        return forecaster.outlooks(Measured(past, {}, demand, LIMITS, ()))


@pytest.mark.parametrize(("standing", "told"), [(None, 0.75), ("rate", 0.75), ("cpu", 0.5)])
def test_the_tightest_kind_speaks_of_those_whose_alarm_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: str | None, told: float
) -> None:
    found = outlooks(tmp_path, standing, monkeypatch).metrics["utilization"]
    assert found.path[0].point == pytest.approx(told)
    assert found.alarm is not None
    assert found.alarm.stands is (standing is not None)
