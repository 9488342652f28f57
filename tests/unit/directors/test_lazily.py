"""What costs a request is asked for once, and only when somebody looks."""

from __future__ import annotations

import pytest

from foreshadow.directors.lazily import Lazily

A, B, C = "edge-a", "edge-b", "edge-c"


def test_each_is_found_out_once_and_alone() -> None:
    asked: list[str] = []

    def find(name: str) -> float | None:
        asked.append(name)
        return {A: 1.0, C: 0.0}.get(name)

    checked = Lazily([A, B, C], find)
    assert asked == []
    assert A in checked
    assert checked[A] == 1.0
    assert asked == [A]
    assert B not in checked
    with pytest.raises(KeyError):
        checked[B]
    assert asked == [A, B]
    assert dict(checked) == {A: 1.0, C: 0.0}
    assert len(checked) == 2
    assert asked == [A, B, C]


def test_what_cannot_be_in_it_is_not_asked_for() -> None:
    checked: Lazily[float] = Lazily([], lambda _: pytest.fail("somebody asked"))
    assert A not in checked
    assert len(checked) == 0
