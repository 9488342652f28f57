"""Fencing tokens: for any order of calls, no older actor gets through."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshadow.agent.fences import Fences
from foreshadow.agent.store import Store
from foreshadow.domain.errors import FencedError

CALLS = st.lists(
    st.tuples(st.sampled_from(["shop", "other"]), st.integers(-1, 5), st.booleans()), max_size=30
)


@settings(deadline=None, max_examples=40)
@given(CALLS)
def test_tokens_only_grow_also_over_restarts(calls: list[tuple[str, int, bool]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "agent.db"
        store = Store(path)
        highest = {"shop": 0, "other": 0}
        for resource, token, restart in calls:
            if restart:
                store.close()
                store = Store(path)
            fences = Fences("edge-a", store)
            try:
                fences.check(resource, token)
                passed = True
            except FencedError:
                passed = False
            assert passed == (token >= highest[resource])
            highest[resource] = max(highest[resource], token)
            assert fences.newest(resource) == highest[resource]
        store.close()


def test_a_token_that_an_agent_brings_holds_off_agents_and_no_controller() -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "agent.db")
        fences = Fences("edge-b", store)
        fences.check("shop", 3)
        fences.check_peer("shop", 2**60)
        with pytest.raises(FencedError):
            fences.check_peer("shop", 4)
        fences.check("shop", 4)
        assert fences.newest("shop") == 4
        fences.check_peer("shop", 4)
        with pytest.raises(FencedError):
            fences.check_peer("shop", 3)
        store.close()
