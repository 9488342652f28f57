"""The captures that a spec's ``state`` asks for."""

from __future__ import annotations

from collections.abc import Sequence

from foreshadow.domain.drivers import CAPTURE, load_driver
from foreshadow.domain.protocols import Capture
from foreshadow.domain.spec import StateSpec


def load_captures(states: Sequence[StateSpec]) -> tuple[Capture, ...]:
    """Return a capture for each entry, in order.

    :raises SpecError: when a kind is not known, or its options are wrong.
    """
    return tuple(load_driver(CAPTURE, state.kind)(state.options()) for state in states)
