from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import MetricClock, MetricTime
from foreshadow.domain.errors import MetricsError
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import ResourceSpec, SourceSpec
from foreshadow.operations.series import LATENCY, fetch_metrics
from tests.unit.operations.metered import Metered, open_metered, resource

WINDOW = Window(MetricTime(0.0), MetricTime(180.0), 60.0)


class Sources(Metered):
    """Sources by their kind: each answers a constant, or not at all; what was asked is kept."""

    asked: list[tuple[str, str, tuple[str, ...]]]

    def source(self, source: SourceSpec, clock: MetricClock) -> Any:
        context = self

        class Constant:
            def fetch(
                self, query: str, resources: Sequence[str], window: Window
            ) -> dict[str, Series]:
                context.asked.append((source.kind, query, tuple(resources)))
                if source.kind == "broken":
                    raise MetricsError("does not answer", where="source broken")
                value = source.options()["value"]
                grid = window.grid()[source.options().get("skip", 0) :]
                return {n: Series(grid[0], 60.0, (value,) * len(grid)) for n in resources}

        return Constant()


@pytest.fixture
def context(tmp_path: Path) -> Sources:
    made = Sources(open_metered(tmp_path, {}).ledger, {})
    made.asked = []
    return made


def spec(name: str, *sources: dict[str, Any], **metrics: Any) -> ResourceSpec:
    keys = {"sources": sources, "step": 60, "latency": {"query": "q", "unit": "milliseconds"}}
    return resource(name, "a", metrics={**keys, **metrics})


def test_resources_with_the_same_query_are_asked_for_at_once(context: Sources) -> None:
    one = {"kind": "constant", "value": 250.0}
    specs = [spec("shop", one), spec("mail", one), spec("other", {**one, "value": 1.0})]
    found = fetch_metrics(context, specs, lambda _: WINDOW)
    assert [names for _, _, names in sorted(context.asked)] == [("mail", "shop"), ("other",)]
    assert found["shop"].metrics[LATENCY].values == (0.25, 0.25, 0.25)
    assert found["other"].metrics[LATENCY].values == (0.001, 0.001, 0.001)


def test_later_sources_lie_on_top(context: Sources) -> None:
    history = {"kind": "constant", "value": 100.0}
    live = {"kind": "constant", "value": 200.0, "skip": 2}
    found = fetch_metrics(context, [spec("shop", history, live)], lambda _: WINDOW)
    assert found["shop"].metrics[LATENCY].values == (0.1, 0.1, 0.2)


def test_a_source_that_does_not_answer_is_a_sentence_and_the_others_count(
    context: Sources,
) -> None:
    both = ({"kind": "constant", "value": 100.0}, {"kind": "broken"})
    demand = {"rate": {"query": "r", "unit": "per_second"}}
    found = fetch_metrics(context, [spec("shop", *both, demand=demand)], lambda _: WINDOW)["shop"]
    assert found.problems == ["source broken: does not answer"]
    assert found.metrics[LATENCY].values == (0.1, 0.1, 0.1)
    assert found.demand["rate"].values == (100.0, 100.0, 100.0)


def test_nothing_to_ask_is_nothing(context: Sources) -> None:
    assert fetch_metrics(context, [], lambda _: WINDOW) == {}
    found = fetch_metrics(context, [spec("shop")], lambda _: WINDOW)
    assert (found["shop"].metrics, found["shop"].demand) == ({}, {})
