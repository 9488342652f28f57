"""What every metric source must do. A driver's tests subclass it and give it data to tell."""

from __future__ import annotations

import math
from typing import Protocol

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.protocols import MetricSource
from foreshadow.domain.series import Window

QUERY = "rate"
HOUR = 3600.0
DATA = {
    "shop": {HOUR: 10.0, 3 * HOUR: 30.0, 9 * HOUR: 90.0},
    "other": {HOUR: 5.0},
}
"""By resource, values by metric time; nothing else is known."""


class SourceWorld(Protocol):
    """Holds :data:`DATA` under :data:`QUERY`."""

    def source(self) -> MetricSource:
        """Return a new source, as another run would have it."""
        ...


class SourceConformance:
    """The suite; a subclass defines the fixture ``world``."""

    def fetch(self, world: SourceWorld, *resources: str, until: float = 4 * HOUR) -> dict[str, str]:
        window = Window(MetricTime(0.0), MetricTime(until), HOUR)
        found = world.source().fetch(QUERY, resources, window)
        for series in found.values():
            assert series.times() == window.grid()
            assert series.step == window.step
        return {name: " ".join(map(_shown, s.values)) for name, s in found.items()}

    def test_many_resources_are_answered_on_one_grid_with_gaps(self, world: SourceWorld) -> None:
        found = self.fetch(world, "shop", "other")
        assert found == {"shop": "10 - 30 -", "other": "5 - - -"}

    def test_who_was_not_asked_for_is_not_answered(self, world: SourceWorld) -> None:
        assert set(self.fetch(world, "other")) == {"other"}

    def test_a_resource_without_a_sample_is_absent(self, world: SourceWorld) -> None:
        assert self.fetch(world, "nobody") == {}
        assert self.fetch(world) == {}

    def test_the_end_of_the_window_counts_and_what_is_later_does_not(
        self, world: SourceWorld
    ) -> None:
        assert self.fetch(world, "shop", until=3 * HOUR) == {"shop": "10 - 30"}
        assert self.fetch(world, "shop", until=2 * HOUR) == {"shop": "10 -"}

    def test_asking_again_gives_the_same(self, world: SourceWorld) -> None:
        assert self.fetch(world, "shop") == self.fetch(world, "shop")


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:g}"
