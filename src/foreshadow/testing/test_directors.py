"""The suite of directors on the driver that ``--foreshadow-director`` names."""

from __future__ import annotations

import pytest

from foreshadow.testing.directors import DirectorConformance, DirectorWorld


class TestDirector(DirectorConformance):
    """Every test of the suite."""

    @pytest.fixture
    def world(self, foreshadow_director_world: DirectorWorld) -> DirectorWorld:
        """Return the world of the named driver."""
        return foreshadow_director_world
