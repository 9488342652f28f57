"""What a load loses with a HAProxy is told apart from what it would have lost anyway."""

from __future__ import annotations

import os
import signal
import time

from tests.support.chaos.runner import Broken
from tests.support.mixed_load import Mix, MixedLoad
from tests.support.pair import running_pair


def test_a_client_that_lags_does_not_take_what_was_held_for_what_came_after() -> None:
    """A busy machine keeps the client from hearing that its connections were opened."""
    with running_pair() as pair, MixedLoad(Mix(tuple(pair.fronts), rate=2000)) as load:
        moments = []
        for _ in range(4):
            time.sleep(0.3)
            os.kill(load.pid, signal.SIGSTOP)
            broken = Broken(at=time.monotonic(), front=pair.fronts[0])
            pair.haproxies["lb-1"].kill()
            broken.until = time.monotonic()
            time.sleep(0.3)
            os.kill(load.pid, signal.SIGCONT)
            time.sleep(0.3)
            pair.haproxies["lb-1"].start()
            moments.append(broken)
    lost = load.counts.lost
    assert lost, "the HAProxy that was killed held something"
    assert [one for one in lost if not any(broken.excuses(one) for broken in moments)] == []
