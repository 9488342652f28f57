"""What the role's configuration does with requests whose server fails."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.agents import loopback
from tests.support.haproxy import free_port, running_haproxy, service, wait_until


@pytest.fixture
def broken() -> Iterator[tuple[str, Counter[str]]]:
    """Run a service that passes its checks, and breaks off on everything else."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/healthz":
                self.send_response(200)
                self.end_headers()
            else:
                asked[self.command] += 1

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer((loopback(), 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "{}:{}".format(*server.server_address), asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("method", "again"), [("POST", False), ("GET", True), ("PUT", True)])
def test_only_what_may_be_done_twice_is_asked_again(
    broken: tuple[str, Counter[str]], method: str, again: bool
) -> None:
    # Without a body: one that comes after the head may be on its way already, and is not kept.
    where, asked = broken
    address = loopback()
    bind = f"{address}:{free_port(address)}"
    with running_haproxy([service("app", bind, "a", {"a": where})]) as haproxy:
        wait_until(lambda: ",L7OK," in haproxy.ask("show stat -1 4 -1"), "the check to pass")
        request = urllib.request.Request(f"http://{bind}/", method=method)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=10)
    assert (asked[method] > 1) is again
