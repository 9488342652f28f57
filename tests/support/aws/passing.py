"""Time that passes when somebody waits, and not else: hours of AWS in a moment of a test.

A switchover, its director, boto3 and the cloud share it. A pause of boto3 before it asks again, or
the half minute until a change of the DNS is in sync, is as long as it is in AWS for everything
that looks at a clock, and takes no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from unittest import mock

import botocore.endpoint

from tests.unit.switchover.world import World


@dataclass
class PassingTime:
    """The time of a world, and on from there that of the next one.

    :ivar world: whose time it is; until there is one, it stands.
    """

    start: float = 1_000_000.0
    world: World | None = None

    def now(self) -> float:
        """Return the time in seconds."""
        return self.start if self.world is None else self.world.at

    def sleep(self, seconds: float) -> None:
        """Let time pass for everybody."""
        if self.world is not None:
            self.world.sleep(seconds)

    @contextmanager
    def of_boto3(self) -> Iterator[None]:
        """Let boto3 wait in this time until the end of the block; how often it asks is its own."""
        with mock.patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=self.sleep)):
            yield
