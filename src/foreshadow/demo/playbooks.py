"""Running the collection's playbooks as a user does, with their output kept in files."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from foreshadow.domain.errors import ForeshadowError

_BIN = Path(sys.executable).parent
_TAIL_LINES = 12


class Playbooks:
    """Starts ``ansible-playbook`` with the demo's inventory."""

    def __init__(self, inventory: Path, logs: Path, environment: dict[str, str]) -> None:
        self._inventory = inventory
        self._logs = logs
        self._environment = {
            **os.environ,
            **environment,
            "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        }
        self._count = 0

    async def play(self, name: str, **variables: str) -> None:
        """Run a playbook of the collection, such as ``converge``, with extra variables.

        :raises ForeshadowError: when it fails, with the end of its output.
        """
        extra = ["-e", json.dumps(variables)] if variables else []
        await self._run(name, ["ansible-playbook", f"foreshadow.core.{name}", *extra])

    async def module(self, name: str, **arguments: object) -> None:
        """Run one module on localhost; its arguments may hold templates."""
        interpreter = f"ansible_python_interpreter={sys.executable}"
        await self._run(
            name,
            ["ansible", "localhost", "-m", f"foreshadow.core.{name}",
             "-a", json.dumps(arguments), "-e", interpreter],
        )  # fmt: skip

    async def _run(self, name: str, command: Sequence[str]) -> None:
        self._count += 1
        log = self._logs / f"{self._count:02d}-{name}.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                str(_BIN / command[0]),
                "-i",
                str(self._inventory),
                *command[1:],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
            )
            try:
                status = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if status:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
            print("\n".join(f"  | {line}" for line in tail), file=sys.stderr)
            raise ForeshadowError(
                f"{command[0]} ended with status {status}",
                where=f"demo, {name}",
                remedy=f"its whole output is in {log}",
            )
