"""The suite of directors on the driver that ``--foreshadow-director`` names."""

from __future__ import annotations

from typing import cast

import pytest

from foreshadow.domain.protocols import CachingDirector
from foreshadow.testing.directors import (
    CachingConformance,
    CachingWorld,
    DirectorConformance,
    DirectorWorld,
)


class TestDirector(DirectorConformance):
    """Every test of the suite; the world says what its director cannot do."""

    @pytest.fixture
    def world(
        self, foreshadow_director_world: DirectorWorld, request: pytest.FixtureRequest
    ) -> DirectorWorld:
        """Return the world of the named driver."""
        for ability in ("shares", "counts_requests"):
            given = getattr(foreshadow_director_world, ability, True)
            setattr(request.instance, ability, given)
        return foreshadow_director_world


class TestCachingDirector(CachingConformance):
    """The tests for directors whose answers are cached, when the driver is one."""

    @pytest.fixture
    def world(
        self, foreshadow_director_world: DirectorWorld, request: pytest.FixtureRequest
    ) -> CachingWorld:
        """Return the world of the named driver."""
        if request.function.__name__ in vars(DirectorConformance):
            pytest.skip("run above already")
        if not isinstance(foreshadow_director_world.director(), CachingDirector):
            pytest.skip("its answers are not cached: it is no CachingDirector")
        return cast("CachingWorld", foreshadow_director_world)
