"""Which keys of a Redis stand for all of them, within a budget, and how well they do.

Keys are put into strata: by their pattern, their size and how recently or often they are used. Each
stratum gets a part of the budget by its share of the accesses, and at least one key as long as
there is room. Within a stratum the hash of a key decides, so that the next sample takes the same
keys, and little is new in it.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from blake3 import blake3

_VARIABLE = re.compile(rb"[0-9a-fA-F]{8}[0-9a-fA-F-]*|\d+")
_MOST_PATTERNS = 64
_NORMAL_95 = 1.96


class Key(NamedTuple):
    """A key that was looked at.

    :ivar size: bytes of memory.
    :ivar use: of its accesses, in a unit that is the same for all keys.
    """

    name: bytes
    size: int
    use: float

    @property
    def pattern(self) -> bytes:
        """Its name with each number or identifier as ``#``."""
        return _VARIABLE.sub(b"#", self.name)


@dataclass(frozen=True, slots=True)
class Sample:
    """The keys that were chosen, and what they stand for.

    :ivar population: keys of the database; ``seen`` of them were looked at.
    :ivar accesses: share of the accesses that go to the chosen keys, of those to all that were
        looked at: 0 to 1.
    :ivar off: largest difference between a pattern's share of the accesses to the chosen keys and
        its share of all accesses: 0 to 1.
    :ivar margin: half of the 95 % interval of the mean size of a key as the sample tells it,
        relative to the mean; ``inf`` when not every stratum has a key.
    :ivar mean: that mean, in bytes.
    """

    keys: tuple[Key, ...]
    population: int
    seen: int
    strata: int
    accesses: float
    off: float
    mean: float
    margin: float

    def told(self) -> str:
        """Return a sentence for people."""
        looked = f" (of {self.seen} that were looked at)" if self.seen < self.population else ""
        if len(self.keys) == self.population:
            return f"the sample has all {self.population} keys"
        margin = "unknown" if math.isinf(self.margin) else f"{self.margin:.1%}"
        return (
            f"the sample has {len(self.keys)} of {self.population} keys{looked} in {self.strata}"
            f" strata: {self.accesses:.0%} of the accesses go to them, the share of no key pattern"
            f" is off by more than {self.off:.1%}, and the mean size of a key is known to"
            f" ±{margin} (95 %)"
        )


def choose(keys: Sequence[Key], population: int, budget: int) -> Sample:
    """Return a sample of at most ``budget`` bytes.

    :param keys: that were looked at: all, or as many as one may look at, drawn at random.
    """
    strata = _stratified(keys)
    total = sum(key.use for key in keys) or 1.0
    chosen: dict[Stratum, list[Key]] = {stratum: [] for stratum in strata}
    left = float(budget)
    # A key of each, the most used first; then each gets its share, and what one does not need goes
    # to the others.
    by_use = sorted(strata, key=lambda stratum: -sum(key.use for key in strata[stratum]))
    for stratum in by_use:
        left -= _move(strata[stratum], chosen[stratum], left, most=1)
    shares = {stratum: sum(key.use for key in strata[stratum]) for stratum in by_use}
    while left > 0 and (open_ := [s for s in by_use if strata[s] and shares[s] > 0]):
        whole, before = sum(shares[stratum] for stratum in open_), left
        for stratum in open_:
            quota = min(before * shares[stratum] / whole, left)
            left -= _move(strata[stratum], chosen[stratum], quota)
        if left == before:
            break
    for stratum in by_use:
        left -= _move(strata[stratum], chosen[stratum], left)
    return _judged(chosen, strata, population, len(keys), total)


Stratum = tuple[bytes, int, int]
"""Pattern, class of size, class of use."""


def _stratified(keys: Iterable[Key]) -> dict[Stratum, list[Key]]:
    """Return the keys of each stratum, in the order in which they are to be taken."""
    patterns = Counter(key.pattern for key in keys)
    common = {pattern for pattern, _ in patterns.most_common(_MOST_PATTERNS)}
    strata: defaultdict[Stratum, list[Key]] = defaultdict(list)
    for key in keys:
        pattern = key.pattern if key.pattern in common else b"*"
        use = math.floor(math.log2(key.use)) // 2 if key.use > 0 else -100
        strata[pattern, key.size.bit_length() // 2, use].append(key)
    for stratum in strata.values():
        stratum.sort(key=lambda key: blake3(key.name).digest())
    return dict(strata)


def _move(source: list[Key], target: list[Key], quota: float, most: int | None = None) -> float:
    """Move the first keys as far as they fit into a quota; return the bytes that they take."""
    taken, count = 0, 0
    for key in source:
        if taken + key.size > quota or count == most:
            break
        taken += key.size
        count += 1
    target += source[:count]
    del source[:count]
    return taken


def _judged(
    chosen: dict[Stratum, list[Key]],
    rest: dict[Stratum, list[Key]],
    population: int,
    seen: int,
    total: float,
) -> Sample:
    taken = sorted(key for keys in chosen.values() for key in keys)
    used = sum(key.use for key in taken)
    patterns: Counter[bytes] = Counter()
    of_all: Counter[bytes] = Counter()
    for keys in chosen.values():
        for key in keys:
            patterns[key.pattern] += key.use  # type: ignore[assignment] # a Counter takes floats
            of_all[key.pattern] += key.use  # type: ignore[assignment]
    for keys in rest.values():
        for key in keys:
            of_all[key.pattern] += key.use  # type: ignore[assignment]
    off = max((abs(patterns[p] / (used or 1.0) - of_all[p] / total) for p in of_all), default=0.0)
    mean, margin = _mean_size(chosen, rest, population, seen)
    return Sample(tuple(taken), population, seen, len(chosen), used / total, off, mean, margin)


def _mean_size(
    chosen: dict[Stratum, list[Key]], rest: dict[Stratum, list[Key]], population: int, seen: int
) -> tuple[float, float]:
    """Return the mean size of a key by the chosen ones, and its relative 95 % margin.

    The estimator for strata: each counts by how many keys it has. Looking at a part of the keys
    only adds the error of a simple random sample.
    """
    mean = variance = 0.0
    for stratum, keys in chosen.items():
        size = len(keys) + len(rest[stratum])
        weight = size / seen
        if not keys:
            return _plain_mean(chosen), math.inf
        average = sum(key.size for key in keys) / len(keys)
        mean += weight * average
        if len(keys) < size:
            spread = _spread(keys, average) if len(keys) > 1 else _widest(stratum[1])
            variance += weight**2 * spread / len(keys) * (1 - len(keys) / size)
    if seen < population:
        sizes = [key.size for keys in chosen.values() for key in keys]
        sizes += [key.size for keys in rest.values() for key in keys]
        average = sum(sizes) / len(sizes)
        spread = sum((size - average) ** 2 for size in sizes) / max(1, len(sizes) - 1)
        variance += spread / seen * (1 - seen / population)
    return mean, _NORMAL_95 * math.sqrt(variance) / mean if mean else 0.0


def _spread(keys: Sequence[Key], average: float) -> float:
    return sum((key.size - average) ** 2 for key in keys) / (len(keys) - 1)


def _widest(size_class: int) -> float:
    """Return the variance that sizes of a class can have at most: what one key cannot tell."""
    low, high = 2.0 ** (2 * size_class - 1), 2.0 ** (2 * size_class + 1)
    return ((high - low) / 2) ** 2


def _plain_mean(chosen: dict[Stratum, list[Key]]) -> float:
    sizes = [key.size for keys in chosen.values() for key in keys]
    return sum(sizes) / len(sizes) if sizes else 0.0
