"""What clients saw, as a load generator wrote it down: the one input that is not in the ledger.

The file is JSON::

    {
      "resource": "checkout",
      "step": 300,
      "runs": {
        "foreshadow": {
          "intervals": [
            {"at": "2017-08-14T06:00:00Z", "requests": 412, "failed": 0, "p50": 0.011, "p99": 0.048}
          ],
          "staleness": [
            {"at": "2017-08-14T06:00:00Z", "host": "edge-b", "seconds": 1.4}
          ]
        },
        "reactive": {"intervals": []}
      }
    }

``at`` is metric time, ISO 8601 or UTC seconds: when the interval of ``step`` seconds begins.
``requests`` counts all that were sent in it, ``failed`` those of them that got no good answer;
``p50`` and ``p99`` are seconds, and null where nothing was answered. Any run may be left out; the
run ``foreshadow`` is drawn against all others. ``staleness`` is optional: the age of each shadow's
state in wall seconds, as it was sampled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foreshadow.domain.errors import SpecError
from foreshadow.domain.problems import first_problem
from foreshadow.domain.spec import Instant

OURS = "foreshadow"
"""The name of the run with Foreshadow at work."""

Count = Annotated[int, Field(ge=0)]
Measured = Annotated[float, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Strict):
    """What clients saw in one interval of metric time."""

    at: Instant
    requests: Count
    failed: Count = 0
    p50: Measured | None = None
    p99: Measured | None = None


class Age(_Strict):
    """How old a shadow's state was at one metric time."""

    at: Instant
    host: str
    seconds: Measured


class Run(_Strict):
    """One run of the same load."""

    intervals: tuple[Interval, ...] = ()
    staleness: tuple[Age, ...] = ()

    @property
    def requests(self) -> int:
        """Return how many requests were sent."""
        return sum(interval.requests for interval in self.intervals)

    @property
    def failed(self) -> int:
        """Return how many of them failed."""
        return sum(interval.failed for interval in self.intervals)

    @property
    def worst_p99(self) -> float | None:
        """Return the highest p99 of an interval in seconds."""
        return max((i.p99 for i in self.intervals if i.p99 is not None), default=None)


class Clients(_Strict):
    """What clients of one resource saw, by run.

    :ivar step: seconds of metric time that an interval lasts.
    """

    resource: str
    step: Annotated[float, Field(gt=0)]
    runs: dict[str, Run] = {}


def read_clients(path: Path) -> Clients:
    """Return what a load generator wrote.

    :raises SpecError: in one line, when the file is not there or is not of this format.
    """
    where = f"clients file {path}"
    try:
        return Clients.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SpecError(
            f"cannot be read: {error.strerror}",
            where=where,
            remedy="name a file that this user may read",
        ) from None
    except ValueError as error:
        if isinstance(error, ValidationError):
            raise first_problem(error, where, Clients) from None
        raise SpecError("is not JSON", where=where, remedy="write it again") from None
