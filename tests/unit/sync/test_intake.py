"""What one side may make the other keep in memory before it is looked at."""

from __future__ import annotations

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.sync import intake
from foreshadow.sync.entries import Limits
from foreshadow.sync.frames import squeezed
from foreshadow.wire.gen.sync_pb2 import Entries, ManifestEntry, OfferPart, OfferRequest


def opened(limits: Limits | None = None) -> intake.OfferIntake:
    offer = intake.OfferIntake(limits)
    offer.feed(OfferPart(start=OfferRequest(source="edge-a")))
    return offer


def part(size: int) -> OfferPart:
    entries = Entries(upserts=[ManifestEntry(path=b"x" * size)])
    return OfferPart(entries=squeezed(entries.SerializeToString(), 3))


def test_an_offer_of_too_many_paths_is_broken_off() -> None:
    offer = opened(Limits(entries=2))
    offer.feed(part(1))
    offer.feed(part(1))
    with pytest.raises(SyncError, match="more paths than a version may have"):
        offer.feed(part(1))


def test_an_offer_of_few_paths_that_are_huge_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_MOST_BYTES", 5000)
    offer = opened()
    offer.feed(part(4000))
    with pytest.raises(SyncError, match="more or less than it may"):
        offer.feed(part(4000))
