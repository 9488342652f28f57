"""Errors come out of the wire as they went in."""

from __future__ import annotations

import string

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.domain.errors import BY_CODE, FencedError, ForeshadowError
from foreshadow.wire.fail import Metadata, from_status, to_status

ANY_TEXT = st.text(max_size=300)


class Failed:
    """A failed call, as either of gRPC's clients shows it."""

    def __init__(self, status: grpc.StatusCode, details: str, metadata: Metadata) -> None:
        self._parts = (status, details, metadata)

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> str:
        return self._parts[1]

    def trailing_metadata(self) -> Metadata:
        return self._parts[2]


@given(st.sampled_from(sorted(BY_CODE)), ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_every_error_survives(code: str, problem: str, where: str, remedy: str) -> None:
    error = BY_CODE[code](problem, where=where, remedy=remedy)
    status, details, metadata = to_status(error)
    assert all(set(value) <= set(string.printable) - set("\r\n") for _, value in metadata)
    found = from_status(Failed(status, details, metadata))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert (found.problem, found.where, found.remedy) == (problem, where, remedy)


def test_a_long_story_is_cut_and_still_arrives() -> None:
    status, details, metadata = to_status(FencedError("x" * 9000, where="é" * 9000))
    assert sum(len(key) + len(value) for key, value in metadata) < 16_000
    found = from_status(Failed(status, details, metadata))
    assert isinstance(found, FencedError)


@pytest.mark.parametrize("metadata", [(), (("foreshadow-error", "no-such-code"),)])
def test_a_failure_that_is_not_ours_carries_no_error(metadata: Metadata) -> None:
    assert from_status(Failed(grpc.StatusCode.UNAVAILABLE, "gone", metadata)) is None


def test_the_root_error_is_carried_too() -> None:
    assert isinstance(from_status(Failed(*to_status(ForeshadowError("odd")))), ForeshadowError)
