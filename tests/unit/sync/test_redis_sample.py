"""Which keys of a Redis stand for all: what is told of a sample has to be true."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from foreshadow.sync.redis_sample import Key, Sample, choose


def population(seed: int = 3, count: int = 4000) -> list[Key]:
    """Return keys of four patterns, of which a tenth has nine tenths of the accesses."""
    draw = random.Random(seed)
    keys = []
    for number in range(count):
        pattern = draw.choice(["page:%d", "user:%d:cart", "img:%d", "session:%d"])
        size = max(60, int(draw.lognormvariate(6, 0.8)))
        use = draw.uniform(80, 100) if draw.random() < 0.1 else draw.uniform(0.5, 1.5)
        keys.append(Key((pattern % number).encode(), size, use))
    return keys


def share(keys: list[Key] | tuple[Key, ...], pattern: bytes) -> float:
    return sum(k.use for k in keys if k.pattern == pattern) / sum(k.use for k in keys)


def sampled(keys: list[Key], part: float) -> Sample:
    return choose(keys, len(keys), int(sum(key.size for key in keys) * part))


def test_numbers_and_identifiers_in_a_name_are_no_part_of_its_pattern() -> None:
    names = [b"user:17:cart", b"s:550e8400-e29b-41d4-a716-446655440000", b"plain", b"deadbeef01"]
    assert [Key(name, 1, 1).pattern for name in names] == [b"user:#:cart", b"s:#", b"plain", b"#"]


def test_what_is_told_of_a_sample_holds() -> None:
    keys = population()
    sample = sampled(keys, 0.15)
    assert sum(key.size for key in sample.keys) <= sum(key.size for key in keys) * 0.15
    assert sample.seen == sample.population == len(keys)
    used = sum(key.use for key in sample.keys) / sum(key.use for key in keys)
    assert math.isclose(sample.accesses, used)
    assert used > 0.5, "a seventh of the bytes has most of the accesses"
    patterns = {key.pattern for key in keys}
    off = max(abs(share(sample.keys, p) - share(keys, p)) for p in patterns)
    assert math.isclose(sample.off, off)
    assert off < 0.05


def test_the_margin_of_the_mean_covers_the_truth() -> None:
    covered = 0
    for seed in range(30):
        keys = population(seed, 1000)
        sample = sampled(keys, 0.4)
        assert 0 < sample.margin < 0.5
        truth = sum(key.size for key in keys) / len(keys)
        covered += abs(sample.mean - truth) <= sample.margin * sample.mean
    # 95 % are promised; the hash decides within a stratum, so it is as good as chance.
    assert covered >= 25


def test_a_small_change_changes_a_small_part_of_the_sample() -> None:
    keys = population()
    before = {key.name for key in sampled(keys, 0.2).keys}
    draw = random.Random(9)
    changed = [key._replace(use=key.use * draw.uniform(0.95, 1.05)) for key in keys[20:]]
    after = {key.name for key in sampled(changed, 0.2).keys}
    assert len(before & after) > 0.9 * len(before)


def test_every_stratum_is_there_as_long_as_there_is_room() -> None:
    keys = population()
    rare = Key(b"config", 100, 0.01)
    assert rare in sampled([*keys, rare], 0.15).keys
    one = choose(keys, len(keys), 2000)
    assert 0 < sum(key.size for key in one.keys) <= 2000


def test_all_keys_are_all_keys() -> None:
    keys = population(count=50)
    sample = choose(keys, 50, 10**9)
    assert math.isclose(sample.accesses, 1.0)
    assert sample.off < 1e-9
    assert sample.margin == 0.0
    assert sample.told() == "the sample has all 50 keys"
    assert choose([], 0, 100).told() == "the sample has all 0 keys"


def test_a_sentence_tells_the_error() -> None:
    keys = population(count=400)
    told = choose(keys, 10_000, 100_000).told()
    assert "of 10000 keys (of 400 that were looked at) in" in told
    assert told.endswith("(95 %)")
    assert "±unknown" in choose(population(), 4000, 3000).told()


@given(
    st.lists(
        st.builds(
            Key,
            st.binary(min_size=1, max_size=6),
            st.integers(1, 10_000),
            st.floats(0, 1e6, allow_nan=False),
        ),
        max_size=60,
        unique_by=lambda key: key.name,
    ),
    st.integers(0, 100_000),
)
def test_any_sample_keeps_to_its_budget(keys: list[Key], budget: int) -> None:
    sample = choose(keys, len(keys), budget)
    assert sum(key.size for key in sample.keys) <= budget
    assert len(set(sample.keys)) == len(sample.keys)
    assert set(sample.keys) <= set(keys)
    assert 0 <= sample.accesses <= 1 + 1e-9
    assert 0 <= sample.off <= 1 + 1e-9
    if sum(key.size for key in keys) <= budget:
        assert set(sample.keys) == set(keys)
