"""Asking for a move of what others move too: looking at it comes to an end."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreshadow.domain.change import Change
from foreshadow.domain.errors import RefusedError
from foreshadow.operations import switch
from foreshadow.operations.context import Context
from foreshadow.operations.switch import SwitchRequest, switch_over


class Restless:
    """A ledger of a resource that somebody moves whenever it has been looked at.

    :param moves: how often; then it stays where it is.
    """

    def __init__(self, moves: int) -> None:
        self.looks = 0
        self._moves = moves

    def resource(self, name: str) -> Any:
        return SimpleNamespace(name=name, directors=("one",))

    def primary(self, _resource: str) -> str:
        return f"edge-{min(self.looks, self._moves)}"

    def lease(self, _resource: str) -> None:
        return None


def asked(monkeypatch: pytest.MonkeyPatch, ledger: Restless) -> Change:
    numbers = count(1)

    def look(*_: object) -> Change:
        ledger.looks += 1
        raise RefusedError(f"reason {next(numbers)}")

    monkeypatch.setattr(switch, "_looked_at", look)
    context = cast("Context", SimpleNamespace(ledger=ledger, now=lambda: 0.0))
    return switch_over(context, SwitchRequest(resource="shop", to="edge-b"))


def test_what_was_moved_meanwhile_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Restless(moves=2)
    told = asked(monkeypatch, ledger).apply()["switchover"]
    assert (told["outcome"], told["error"], told["source"]) == ("refused", "reason 3", "edge-2")


def test_looking_anew_ends_however_often_it_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Restless(moves=10**6)
    told = asked(monkeypatch, ledger).apply()["switchover"]
    assert (told["outcome"], told["error"]) == ("refused", "reason 5")
    assert ledger.looks == 5
