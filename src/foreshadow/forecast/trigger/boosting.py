"""Gradient-boosted trees for a probability, on binned features, with numpy alone.

A few dozen shallow trees on a hundred thousand rows are a matter of seconds, and as text a matter
of kilobytes; a library for it would weigh more than everything else here together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from foreshadow.forecast.history import Array

_BINS = 48
_UNKNOWN = 0
_SMOOTH = 5.0
Codes: TypeAlias = npt.NDArray[np.uint8]
_Tree: TypeAlias = tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], Array]
"""Features and cuts of the inner nodes, and the leaves."""


@dataclass(frozen=True, slots=True)
class Boosted:
    """A sum of trees in log odds.

    All trees are full and of one depth: node ``i`` leads to ``2i + 1`` (code at most the cut) or
    to ``2i + 2``.

    :ivar edges: by feature, the rising values between bins.
    :ivar start: log odds before the first tree.
    :ivar features: of the inner nodes, shape (trees, 2 ** depth - 1); ``cuts`` likewise.
    :ivar leaves: shape (trees, 2 ** depth).
    """

    edges: tuple[tuple[float, ...], ...]
    start: float
    features: npt.NDArray[np.int16]
    cuts: npt.NDArray[np.int16]
    leaves: Array

    def log_odds(self, rows: Array) -> Array:
        """Return the log odds of rows of features, shape (rows,)."""
        codes = _coded(rows, self.edges)
        out = np.full(len(rows), self.start)
        for tree in zip(self.features, self.cuts, self.leaves, strict=True):
            out += _told(codes, tree)
        return out

    def dumps(self) -> str:
        """Return the model as JSON."""
        body = {
            "edges": self.edges,
            "start": self.start,
            "features": self.features.tolist(),
            "cuts": self.cuts.tolist(),
            "leaves": np.round(self.leaves, 6).tolist(),
        }
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Boosted:
        """Return the model that :meth:`dumps` wrote."""
        raw = json.loads(text)
        return cls(
            tuple(tuple(edge) for edge in raw["edges"]),
            raw["start"],
            np.asarray(raw["features"], dtype=np.int16),
            np.asarray(raw["cuts"], dtype=np.int16),
            np.asarray(raw["leaves"], dtype=np.float64),
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees are grown.

    :ivar rate: by how much each tree is believed.
    :ivar least: weight that a leaf has to rest on.
    :ivar share: of rows and of features that each tree sees.
    """

    trees: int = 120
    depth: int = 4
    rate: float = 0.08
    least: float = 30.0
    share: float = 0.5
    seed: int = 20261124


def fit(rows: Array, truth: Array, weights: Array, growth: Growth | None = None) -> Boosted:
    """Return trees fitted to what came.

    :param rows: features, shape (n, features), ``nan`` for unknown.
    :param truth: 0 or 1, shape (n,); ``weights`` likewise.
    """
    how = growth or Growth()
    draw = np.random.default_rng(how.seed)
    edges = _edges(rows)
    codes = _coded(rows, edges)
    mean = float(np.clip(np.average(truth, weights=weights), 1e-6, 1 - 1e-6))
    start = float(np.log(mean / (1 - mean)))
    said = np.full(len(rows), start)
    trees: list[_Tree] = []
    for _ in range(how.trees):
        chance = 1 / (1 + np.exp(-said))
        slope, bend = weights * (truth - chance), weights * chance * (1 - chance)
        some = np.flatnonzero(draw.random(len(rows)) < how.share)
        count = rows.shape[1]
        looked = np.flatnonzero(draw.random(count) < how.share)
        tree = _tree(codes[some], slope[some], bend[some], weights[some], looked, how)
        trees.append(tree)
        said += _told(codes, tree)
    features, cuts, leaves = (np.stack(part) for part in zip(*trees, strict=True))
    return Boosted(edges, start, features, cuts, leaves)


def _told(codes: Codes, tree: _Tree) -> Array:
    """Return the leaf that each row comes to, shape (rows,)."""
    feature, cut, leaf = tree
    each, node = np.arange(len(codes)), np.zeros(len(codes), dtype=np.int64)
    while len(each) and node[0] < len(feature):  # all leaves are equally deep
        node = 2 * node + 1 + (codes[each, feature[node]] > cut[node])
    return leaf[node - len(feature)]


def _tree(
    codes: Codes,
    slope: Array,
    bend: Array,
    weights: Array,
    looked: npt.NDArray[np.int64],
    how: Growth,
) -> _Tree:
    inner = 2**how.depth - 1
    feature, cut = np.zeros(inner, dtype=np.int16), np.full(inner, 255, dtype=np.int16)
    place = np.zeros(len(codes), dtype=np.int64)
    for level in range(how.depth):
        width = 2**level
        best = np.full(width, 1e-9)
        for column in looked:
            key = place * _BINS + codes[:, column]
            left = [_running(key, what, width) for what in (slope, bend, weights)]
            right = [part[:, -1:] - part for part in left]
            whole = _gain(left[0][:, -1:], left[1][:, -1:])
            gain = _gain(left[0], left[1]) + _gain(right[0], right[1]) - whole
            gain[(left[2] < how.least) | (right[2] < how.least)] = 0.0
            at = gain.argmax(axis=1)
            value = gain[np.arange(width), at]
            for node in np.flatnonzero(value > best):
                best[node] = value[node]
                feature[width - 1 + node], cut[width - 1 + node] = column, at[node]
        node = width - 1 + place
        place = 2 * place + (codes[np.arange(len(codes)), feature[node]] > cut[node])
    count = 2**how.depth
    up, down = np.bincount(place, slope, count), np.bincount(place, bend, count)
    return feature, cut, how.rate * np.clip(up / (down + _SMOOTH), -6, 6)


def _running(key: npt.NDArray[np.int64], what: Array, width: int) -> Array:
    """Return by node the sum over the bins up to each, shape (width, bins)."""
    sums = np.bincount(key, what, width * _BINS).astype(np.float64)
    return np.asarray(np.cumsum(sums.reshape(width, _BINS), axis=1), dtype=np.float64)


def _gain(slope: Array, bend: Array) -> Array:
    return np.asarray(slope**2 / (bend + _SMOOTH))


def _edges(rows: Array) -> tuple[tuple[float, ...], ...]:
    """Return by feature the values between bins that hold about equally many rows."""
    found = []
    for column in rows.T:
        known = column[~np.isnan(column)]
        levels = np.linspace(0, 1, _BINS)[1:-1]
        edges = np.unique(np.quantile(known, levels)) if len(known) else np.empty(0)
        found.append(tuple(float(edge) for edge in edges))
    return tuple(found)


def _coded(rows: Array, edges: tuple[tuple[float, ...], ...]) -> Codes:
    """Return the bin of each value, 0 for unknown, shape (rows, features)."""
    out = np.empty(rows.shape, dtype=np.uint8)
    for k, edge in enumerate(edges):
        column = rows[:, k]
        code = 1 + np.searchsorted(np.asarray(edge, dtype=rows.dtype), column, side="left")
        out[:, k] = np.where(np.isnan(column), _UNKNOWN, code)
    return out
