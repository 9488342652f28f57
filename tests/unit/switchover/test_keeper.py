"""The lease: renewed while working, and believed only as long as the ledger agrees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from foreshadow.domain.errors import FencedError, LeaseHeldError, LedgerError
from foreshadow.domain.moves import Lease
from foreshadow.switchover.keeper import LeaseKeeper
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import NAME


def keeper(controllers: Controllers, holder: str, ttl: float = 15.0) -> LeaseKeeper:
    return LeaseKeeper(
        controllers.ledger, NAME, holder, lambda _: False, controllers.world.now, ttl
    )


def test_it_is_given_back_at_the_end(controllers: Controllers) -> None:
    with keeper(controllers, "one") as held:
        assert controllers.ledger.lease(NAME) == held.lease
        with pytest.raises(LeaseHeldError, match="one"):
            keeper(controllers, "two")
    assert controllers.ledger.lease(NAME) is None
    with keeper(controllers, "two") as held:
        assert held.token == 2


def test_it_is_renewed_in_the_background(controllers: Controllers) -> None:
    with keeper(controllers, "one", ttl=0.06) as held:
        first = held.lease.expires_at
        controllers.world.at += 10
        deadline = time.monotonic() + 5
        while held.lease.expires_at == first and time.monotonic() < deadline:
            time.sleep(0.005)
        assert held.lease.expires_at > first
        held.check()


def test_one_that_ran_out_holds_when_nobody_was_there(controllers: Controllers) -> None:
    with keeper(controllers, "one") as held:
        controllers.world.at += 60
        held.check()
        assert held.lease.expires_at > controllers.world.at


def test_one_that_was_taken_over_is_lost_for_good(controllers: Controllers) -> None:
    with keeper(controllers, "one") as late:
        controllers.world.at += 60
        with keeper(controllers, "two"):
            pass
        for _ in range(2):
            with pytest.raises(FencedError, match="no longer valid"):
                late.check()
    assert controllers.ledger.lease(NAME) is None


def test_a_ledger_that_is_away_is_no_loss_until_the_lease_runs_out(
    controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_lease: Lease, _ttl: float) -> Any:
        raise LedgerError("the disk is away")

    with keeper(controllers, "one") as held:
        monkeypatch.setattr(controllers.ledger, "renew", away)
        controllers.world.at += 10
        held.check()
        controllers.world.at += 10
        with pytest.raises(FencedError, match="while the ledger did not answer"):
            held.check()


def test_the_dead_are_taken_over_at_once(
    controllers: Controllers, bereft: Callable[[str], LeaseKeeper]
) -> None:
    controllers.ledger.acquire(NAME, "dead", 60, lambda _: False)
    with bereft("two") as held:
        assert held.token == 2


@pytest.fixture
def bereft(controllers: Controllers) -> Callable[[str], LeaseKeeper]:
    """Give a maker of keepers who know that ``dead`` is dead."""
    return lambda holder: LeaseKeeper(
        controllers.ledger, NAME, holder, lambda other: other == "dead", controllers.world.now
    )
