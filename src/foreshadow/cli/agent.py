"""``foreshadow agent``."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging

from foreshadow.cli.background import ensure_running, ensure_stopped
from foreshadow.domain.errors import SpecError
from foreshadow.wire.credentials import Credentials


def run(options: argparse.Namespace) -> None:
    """Serve until the agent is told to stop.

    :raises ForeshadowError: when it cannot start.
    """
    address = _address(options)
    if options.background:
        print(ensure_running(options))
        return
    if options.stop:
        print(ensure_stopped(options.state_dir.absolute(), options.listen))
        return
    # Loaded here, so that the other commands start without it.
    from foreshadow.agent.server import Settings, serve

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    settings = Settings(
        host=options.host,
        listen=options.listen,
        address=address,
        state_dir=options.state_dir,
        credentials=Credentials(options.ca, options.cert, options.key),
        relay_sockets=tuple(options.relay_socket),
        shared_machine=options.shared_machine,
        interval=options.sample_interval,
    )
    # What is loaded stays. A sweep through all of it would take as long as a pause may.
    gc.collect()
    gc.freeze()
    asyncio.run(serve(settings))


def _address(options: argparse.Namespace) -> str:
    """Return the address at which the services of the host listen."""
    listening, _, port = options.listen.rpartition(":")
    if not port.isdecimal() or not listening:
        raise SpecError(
            "is not an address with a port",
            where=f"--listen {options.listen}",
            remedy="write it as 192.0.2.11:7443",
        )
    address: str = options.address or listening.strip("[]")
    if address in {"0.0.0.0", "::"}:
        raise SpecError(
            "stands for every address, so it does not say where the services listen",
            where=f"--listen {options.listen}",
            remedy="add --address with the address of this host",
        )
    return address
