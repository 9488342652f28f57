"""What a switchover tells: whether it moved anything itself."""

from __future__ import annotations

from typing import Any

import pytest

from foreshadow.domain.errors import RefusedError
from foreshadow.operations.switch_shown import left_alone, refusal, unchanged

REFUSED = refusal(RefusedError("not now"), "edge-a", "edge-b", None)
UNCHANGED = unchanged("edge-b")
PLANNED, RECOVERED = ({**UNCHANGED, "outcome": made} for made in ("planned", "recovered"))
SWITCHED, REVERSED = ({**UNCHANGED, "outcome": made} for made in ("switched", "reversed"))


@pytest.mark.parametrize(
    ("result", "alone"),
    [
        ({"switchover": UNCHANGED}, True),
        ({"switchover": REFUSED}, True),
        ({"switchover": PLANNED}, False),
        ({"switchover": SWITCHED}, False),
        ({"switchover": REVERSED}, False),
        ({"switchover": REFUSED, "recovered": [RECOVERED]}, False),
        ({"switchover": UNCHANGED, "recovered": [RECOVERED]}, False),
        ({"switchovers": []}, True),
        ({"switchovers": [], "switchover": UNCHANGED}, True),
        ({"switchovers": [RECOVERED], "switchover": RECOVERED}, False),
    ],
)
def test_changed_is_what_was_moved_here(result: dict[str, Any], *, alone: bool) -> None:
    assert left_alone(result) is alone
