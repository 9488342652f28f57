"""Five hundred forecasts in one process leave no file, no process and no memory behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.forecast.test_left_behind import environment, marked

MANY = """
import gc, resource, sys
import numpy as np, psutil
from foreshadow.forecast import prophet
from foreshadow.forecast.forecaster import forecast
from foreshadow.forecast.model import Memory
from tests.unit.forecast.days import history, rhythm
shelf, values = Memory(), rhythm(40)
own = psutil.Process()
sizes = []
for k in range(500):
    forecast(history(values[: 20 * 24 + k % 450]), 7200.0, shelf, prophet.fit)
    if k % 50 == 49:
        gc.collect()
        sizes.append(own.memory_info().rss / 2**20)
print(max(sizes[-3:]) - sizes[4], len(own.children(recursive=True)), own.num_fds())
"""


@pytest.mark.timeout(600)
def test_five_hundred_forecasts_leave_no_file_no_process_and_no_memory(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MANY],
        env=environment(tmp_path),
        check=True,
        capture_output=True,
        text=True,
    )
    grown, children, descriptors = ran.stdout.split()[-3:]
    assert float(grown) < 20.0, f"the process grew by {grown} MB"
    assert int(children) == 0
    assert int(descriptors) < 30
    assert list(tmp_path.iterdir()) == []
    assert marked(tmp_path) == []
