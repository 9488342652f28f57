"""What a switchover cost, computed from its journal: a crash loses no figure.

For how long requests were held is known best to those who held them. Where they did not tell, it
is the time from before the first was told to hold to after the last had let go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import Acknowledged
from foreshadow.domain.moves import StepRecord, StepState
from foreshadow.switchover.plan import COMMIT, DELIVER, HANDOVER


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one switchover; what did not come to pass is ``None``.

    :ivar switch_ms: from the start of the activation to all new requests on the destination.
    :ivar pause_ms: for how long requests were held.
    :ivar rto_seconds: from the start of the switchover to the same moment.
    :ivar rpo_seconds: age of the state on the destination at the commit.
    """

    switch_ms: float | None = None
    pause_ms: float = 0.0
    rto_seconds: float | None = None
    rpo_seconds: float | None = None


def measure(
    records: Iterable[StepRecord],
    started_at: WallTime,
    acknowledged: Acknowledged | None,
    *,
    stateful: bool,
    pause_limit: float,
    held_for: float | None = None,
) -> Figures:
    """Return the figures of a switchover that has committed.

    :param acknowledged: what the destination held last.
    :param pause_limit: seconds after which a hold ends by itself.
    :param held_for: seconds for which requests were held, where that was measured.
    :param stateful: false for a resource without state, which has nothing to lose.
    """
    by_name = {record.name: record for record in records}
    activated, held = by_name.get("activate"), by_name.get(HANDOVER)
    moved = by_name.get("shift-100" if held is None else DELIVER)
    if moved is None or moved.state is not StepState.DONE or moved.ended_at is None:
        return Figures()
    committed = by_name.get(COMMIT)
    rpo = None if stateful else 0.0
    if stateful and acknowledged is not None and committed is not None:
        rpo = round(max(0.0, committed.started_at - acknowledged.captured_at), 6)
    pause = 0.0 if held is None else min(moved.ended_at - held.started_at, pause_limit)
    if held is not None and held_for is not None:
        pause = held_for
    began = started_at if activated is None else activated.started_at
    return Figures(
        switch_ms=round((moved.ended_at - began) * 1000, 3),
        pause_ms=round(pause * 1000, 3),
        rto_seconds=round(moved.ended_at - started_at, 6),
        rpo_seconds=rpo,
    )
