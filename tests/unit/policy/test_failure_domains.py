"""A destination that shares the trouble of its source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foreshadow.policy.failure_domains import Machine, shared_trouble

HOT = "has cpu at 0.97"
A = Machine("edge-a", "north", HOT)
B = Machine("edge-b", "north")
C = Machine("edge-c", "north")
FAR = Machine("edge-d", "south", HOT)


@pytest.mark.parametrize(
    ("destination", "source", "others", "said"),
    [
        (B, A, [C], ""),  # one alone in trouble is why one moves
        (replace(B, trouble=HOT), A, [C], "edge-b is in trouble itself: has cpu at 0.97"),
        (replace(B, domain="south", trouble=HOT), A, [], "edge-b is in trouble itself"),
        (B, A, [replace(C, trouble=HOT)], "failure domain north like edge-a, which is in trouble"),
        (B, replace(A, trouble="", silent=True), [replace(C, silent=True)],
         "edge-a does not answer, edge-c does not answer"),
        (replace(B, silent=True), A, [], "edge-a has cpu at 0.97, edge-b does not answer"),
        (B, replace(A, trouble=""), [replace(C, trouble=HOT)], ""),  # the source is well
        (B, A, [FAR], ""),  # the other one in trouble is elsewhere
        (replace(B, domain="south"), A, [replace(C, trouble=HOT)], ""),  # a way out of the domain
        (replace(B, domain=""), replace(A, domain=""), [replace(C, domain="", trouble=HOT)], ""),
    ],
)  # fmt: skip
def test_two_in_trouble_are_no_coincidence(
    destination: Machine, source: Machine, others: list[Machine], said: str
) -> None:
    every = [source, destination, *others]
    found = shared_trouble(destination, source, every)
    assert said in found
    assert bool(said) == bool(found)
