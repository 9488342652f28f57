"""What a Route 53 director remembers, as a TXT record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.directors.route53_claim import Memory, remembered
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True)
TIMES = st.integers(1, 4_000_000_000).map(lambda at: WallTime(float(at)))

MEMORIES = st.builds(
    Memory,
    resource=NAMES,
    token=st.integers(0, 2**40),
    ready=st.frozensets(NAMES, max_size=4),
    before=st.dictionaries(NAMES, st.integers(0, 255), max_size=4),
    kept=st.dictionaries(NAMES, TIMES, max_size=4),
    stale=TIMES,
    moved=TIMES,
)


@given(MEMORIES)
def test_it_is_read_as_it_was_written_and_fits(memory: Memory) -> None:
    assert remembered([memory.value()], memory.resource, "here") == memory
    assert all(len(text) <= 255 for text in memory.strings())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["v=spf1 -all"], "is not written by Foreshadow"),
        (['"v=spf1 -all"'], "is not written by Foreshadow"),
        (['"foreshadow"'], "is not written by Foreshadow"),
        (['"foreshadow" "resource=cart" "token=1"'], "belongs to the resource cart"),
        (['"foreshadow" "resource=shop" "token=x"'], "cannot be read"),
        (['"foreshadow" "resource=shop"', '"other"'], "is not written by Foreshadow"),
        ([], "is not written by Foreshadow"),
    ],
)
def test_what_is_not_ours_is_left_alone(values: list[str], said: str) -> None:
    with pytest.raises(DirectorError, match=said):
        remembered(values, "shop", "here")


def test_a_new_token_notes_what_it_found_and_an_older_one_is_late() -> None:
    first = Memory("shop").claimed_by(3, {"a": 100, "b": 0})
    assert (first.token, first.before) == (3, {"a": 100, "b": 0})
    assert first.claimed_by(3, {"b": 100}) is first
    with pytest.raises(FencedError, match="token 2 is late"):
        first.refuse_older(2, "here")
