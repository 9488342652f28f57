"""Which copies of contents stay, and what a look at them costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foreshadow.sync.outbox import Origin, Outbox


class Looks(dict[str, Origin]):
    """Origins that count how often they are gone through."""

    count = 0

    def __iter__(self) -> Iterator[str]:
        """Give the digests."""
        self.count += 1
        return super().__iter__()


def copies(tmp_path: Path, *texts: str) -> tuple[Outbox, list[str]]:
    """Return an outbox, and the digests of contents that it has copied."""
    outbox = Outbox(tmp_path / "contents")
    outbox.prepare()
    digests = []
    for text in texts:
        (tmp_path / "file").write_text(text)
        digests.append(outbox.read(str(tmp_path / "file"), copy=True)[0].digest)
    return outbox, digests


def test_a_copy_stays_while_it_is_wanted_or_held(tmp_path: Path) -> None:
    outbox, (kept, new, held) = copies(tmp_path, "kept", "new", "held")
    keep, origins = frozenset({kept}), {new: outbox.origin(new)}
    before = {held: outbox.origin(held)}
    with outbox.hold(before), outbox.hold(before):
        outbox.sweep(keep, origins)
        assert all(outbox.has(digest) for digest in (kept, new, held))
    outbox.sweep(keep, origins)
    assert outbox.has(kept)
    assert outbox.has(new)
    assert not outbox.has(held)
    assert {path.name for path in (tmp_path / "contents").iterdir()} == {kept, new}


def test_an_idle_round_looks_at_no_origin(tmp_path: Path) -> None:
    outbox, (digest,) = copies(tmp_path, "text")
    origins, keep = Looks({digest: outbox.origin(digest)}), frozenset({digest})
    outbox.sweep(keep, origins)
    looks = origins.count
    assert looks
    with outbox.hold(origins):
        outbox.sweep(keep, origins)
    assert origins.count == looks
    outbox.sweep(frozenset(), origins)
    assert origins.count > looks
