"""The agent's process: everything put together, served until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from foreshadow.agent.care import Care
from foreshadow.agent.gate import Gate
from foreshadow.agent.haproxy_samples import HaproxySamples
from foreshadow.agent.home import AgentHome
from foreshadow.agent.memory import return_large_pieces
from foreshadow.agent.probes import open_probes
from foreshadow.agent.recorder import Recorder
from foreshadow.agent.relay import Relay
from foreshadow.agent.runner import Runner
from foreshadow.agent.samples import Samples
from foreshadow.agent.service import AgentService
from foreshadow.agent.sockets import Listener, listener
from foreshadow.agent.supervisor import Supervisor
from foreshadow.agent.sync_service import SyncService
from foreshadow.domain.errors import AccessError, RefusedError
from foreshadow.wire.channel import SERVER_OPTIONS
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.gen.agent_pb2_grpc import add_AgentServicer_to_server
from foreshadow.wire.gen.sync_pb2_grpc import add_SyncServicer_to_server
from foreshadow.wire.identity import Identity, Kind, identity_in

_DRAIN_SECONDS = 1.0
_MOST_CALLS = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How an agent is started.

    :ivar listen: ``address:port`` of its own API.
    :ivar address: at which the instances of this host listen.
    :ivar relay_sockets: stats sockets of the HAProxy processes that it relays to.
    :ivar shared_machine: other agents run on this machine: absolute state paths are refused.
    :ivar interval: seconds between two samples.
    """

    host: str
    listen: str
    address: str
    state_dir: Path
    credentials: Credentials
    relay_sockets: tuple[Path, ...] = ()
    shared_machine: bool = False
    interval: float = 1.0


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; instances are left as they are.

    :raises AccessError: when the certificate is not this host's, or the folder cannot be used.
    :raises RefusedError: when another agent has the folder or the port.
    """
    # Private files are made private one by one; what services make is theirs to say.
    os.umask(0o022)
    return_large_pieces()
    _refuse_foreign_certificate(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Sync asks for leases of files; the kernel tells it so when somebody opens one at that moment.
    loop.add_signal_handler(signal.SIGIO, _log.debug, "a file was opened while it was leased")
    async with _agent(settings) as server:
        await server.start()
        _log.info("agent of host %s listens at %s", settings.host, settings.listen)
        await stop.wait()
        await server.stop(_DRAIN_SECONDS)
    _log.info("agent of host %s has ended; its instances go on", settings.host)


@contextlib.asynccontextmanager
async def _agent(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    """Put the parts together; close what has to be closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        home = AgentHome(
            settings.host,
            settings.address,
            settings.state_dir,
            settings.credentials,
            shared_machine=settings.shared_machine,
        )
        stack.callback(home.close)
        samples = Samples(home.state_dir / "samples.db")
        stack.callback(samples.close)
        runner = Runner(home)
        care = Care(runner, await stack.enter_async_context(open_probes()))
        supervisor = Supervisor(home, care)
        supervisor.recover()
        relay = Relay(settings.relay_sockets, home.fences)
        sync = SyncService(home, supervisor)
        service = AgentService(home, supervisor, samples, relay, settings.relay_sockets)
        server = grpc.aio.server(
            interceptors=[Gate()], options=SERVER_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS
        )
        add_AgentServicer_to_server(service, server)
        add_SyncServicer_to_server(sync, server)
        _listen(server, settings)
        await sync.start()
        stack.push_async_callback(sync.stop)
        recorder = Recorder(home, runner, samples, settings.interval)
        recorder.add(HaproxySamples(relay.runtimes).sample)
        recording = asyncio.create_task(recorder.run())
        stack.push_async_callback(_cancel, recording)
        yield server


def _refuse_foreign_certificate(settings: Settings) -> None:
    settings.credentials.server()
    found = identity_in(settings.credentials.cert.read_bytes())
    wanted = Identity(Kind.AGENT, settings.host)
    if found != wanted:
        raise AccessError(
            f"is the certificate of {found}, not of {wanted}",
            where=str(settings.credentials.cert),
            remedy=f"issue it with foreshadow pki issue --kind agent --name {settings.host}",
        )


def _listen(server: grpc.aio.Server, settings: Settings) -> None:
    try:
        server.add_secure_port(settings.listen, settings.credentials.server())
    except RuntimeError:
        found = _listener(settings.listen)
        raise RefusedError(
            f"cannot listen at {settings.listen}{f': {found} does' if found else ''}",
            where=f"agent of host {settings.host}",
            remedy="stop who listens there, or give --listen another port"
            if found
            else "give --listen an address of this machine, and a port that its user may take",
        ) from None


def _listener(listen: str) -> Listener | None:
    address, _, port = listen.rpartition(":")
    try:
        return listener(address.strip("[]"), int(port))
    except OSError:  # a name that stands for no address
        return None


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
