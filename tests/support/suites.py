"""Running the conformance suite as a third party does, with pytest in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "conformance" / "shop_traffic.py"


def run(folder: Path, *options: str, autoload: bool = False) -> tuple[int, str]:
    """Run pytest beside the sample, where nothing of this repository's set-up counts."""
    shutil.copy(SAMPLE, folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    if not autoload:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        options = ("-p", "foreshadow.testing.plugin", *options)
    command = [sys.executable, "-m", "pytest", "--pyargs", "foreshadow.testing", *options]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )
    return done.returncode, done.stdout + done.stderr
