"""Run the demo: ``python -m foreshadow.demo``; results go to ``build/demo``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path

from foreshadow.demo.run import Demo
from foreshadow.demo.world import World
from foreshadow.domain.errors import ForeshadowError


def main() -> int:
    """Run it, stop everything that it started, and return the exit status."""
    parser = argparse.ArgumentParser(description="Runs Foreshadow's main job on this machine.")
    parser.add_argument("--results", type=Path, default=Path("build/demo"), metavar="FOLDER")
    options = parser.parse_args()
    # A terminated demo cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {line}", flush=True)

    world = World(options.results.resolve())
    try:
        print(asyncio.run(Demo(world, say).run()))
    except ForeshadowError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; everything that it started is being stopped", file=sys.stderr)
        return 130
    finally:
        world.stop()
        shutil.rmtree(world.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
