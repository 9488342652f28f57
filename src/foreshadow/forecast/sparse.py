"""Linear problems on one design, some coefficients of which are mostly nothing.

Most coefficients have a Gaussian prior: in the eigenvectors of the design they are found by a
division. A few have a Laplace prior, as the changes of Prophet's trend, which has no closed form:
it is a Gaussian one whose width is the size of the coefficient itself, so they are found in turns
(iteratively reweighted least squares). The many are eliminated first, and what is left for each
series is a system as small as the few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.batch import Cells
from foreshadow.forecast.history import Array

_TURNS = 6
"""For each change of the noise: the next change goes on from what was found."""
_NOTHING = 1e-4
"""A size below this is as good as none; without it one that was nothing once stayed so."""
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Mixed:
    """A design whose columns are divided into the few, with a Laplace prior, and the many.

    :ivar power: eigenvalues of the many, scaled by their priors, shape (many,).
    :ivar back: from eigenvectors to coefficients of the many, shape (many, many).
    :ivar across: products of the few with the eigenvectors, shape (many, few).
    :ivar within: products of the few, shape (few, few).
    :ivar few: which columns of the design they are.
    :ivar prior: scale of the Laplace distribution.
    """

    power: Array
    back: Array
    across: Array
    within: Array
    few: slice
    prior: float

    @classmethod
    def of(cls, design: Array, few: slice, priors: Array, prior: float, root: Array) -> Mixed:
        """Return the problems on a design, shape (cells, columns).

        :param priors: standard deviations of the coefficients of the many.
        :param root: square root of the weight of each cell, shape (cells,).
        """
        weighted = root[:, None] * design
        chosen = weighted[:, few]
        scaled = np.delete(weighted, few, axis=1) * priors
        power, vectors = np.linalg.eigh(scaled.T @ scaled)
        across = vectors.T @ (scaled.T @ chosen)
        back = priors[:, None] * vectors
        return cls(np.maximum(power, 0.0), back, across, chosen.T @ chosen, few, prior)

    def solve(self, right: Cells, noise: Cells, few: Array) -> tuple[Cells, Array]:
        """Return the most probable coefficients, shape (series, columns), and the few apart.

        :param right: products of the weighted values with the design, shape (series, columns).
        :param noise: variance of each series, shape (series,).
        :param few: where the few begin, shape (series, few).
        """
        mine = right[:, self.few].astype(np.float64)
        others = np.delete(right, self.few, axis=1).astype(np.float64) @ self.back
        inverse = 1.0 / (self.power + noise[:, None] + _TINY)
        few = self._few(mine, others, inverse, noise, few)
        many = ((others - few @ self.across.T) * inverse) @ self.back.T
        found = np.insert(many, [self.few.start] * few.shape[1], few, axis=1)
        return found.astype(np.float32), few

    def _few(self, mine: Array, others: Array, inverse: Array, noise: Cells, few: Array) -> Array:
        count = few.shape[1]
        if not count:
            return few
        pairs = (self.across[:, :, None] * self.across[:, None, :]).reshape(len(self.power), -1)
        left = self.within - (inverse @ pairs).reshape(-1, count, count)
        wanted = mine - (others * inverse) @ self.across
        diagonal = np.arange(count)
        for _ in range(_TURNS):
            system = left.copy()
            system[:, diagonal, diagonal] += noise[:, None] / (
                self.prior * (np.abs(few) + _NOTHING)
            )
            few = np.asarray(np.linalg.solve(system, wanted[:, :, None])[:, :, 0], np.float64)
        return few
