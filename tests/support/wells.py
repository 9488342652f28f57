"""Services that only say whether they are well, one for each host, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Wells:
    """A service on the same port of several addresses.

    :ivar addresses: by host.
    :ivar stuck: hosts whose service takes connections and answers none, as a frozen one does.
    :ivar status: by host, what a health check is answered with.
    """

    addresses: Mapping[str, str]
    port: int
    stuck: set[str] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)
    _go_on: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def frozen(self, host: str) -> Iterator[None]:
        """Let a host's service answer nothing until the end of the block."""
        self._go_on.clear()
        self.stuck.add(host)
        try:
            yield
        finally:
            self.stuck.discard(host)
            self._go_on.set()

    def wait_while_stuck(self, host: str) -> None:
        """Return when the host's service may answer."""
        while host in self.stuck:
            self._go_on.wait(0.5)


@contextmanager
def listening(addresses: Mapping[str, str], port: int) -> Iterator[Wells]:
    """Run the services until the end of the block."""
    wells = Wells(dict(addresses), port)

    def handler(host: str) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wells.wait_while_stuck(host)
                self.send_response(wells.status.get(host, 200))
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler

    class Service(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # whoever asked has given up

    with ExitStack() as stack:
        for host, address in addresses.items():
            server = stack.enter_context(Service((address, port), handler(host)))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield wells
