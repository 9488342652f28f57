"""Cloudflare's API in this process: real HTTP on loopback, stateful, with faults on demand.

Faithful to the published API in what matters here: the envelope and its codes, required fields,
filters and pages (a page after the last is empty), one transaction for each batch, tokens with
scopes, and rate limits with their headers.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.cloudflare_pools import FakePools
from tests.support.cloudflare_zone import ApiRefusal, FakeZone

ZONE, ACCOUNT = "a" * 32, "b" * 32
TOKEN = "good-token-that-nobody-may-see"
SLOW_SECONDS = 1.3
"""More than who asks here waits."""
LATE_SECONDS = 5.0
FAULTS = ("429", "500", "503-done", "dropped", "dropped-done", "slow", "late", "duplicate",
          "invalid", "garbage")  # fmt: skip
"""What can befall one call; ``-done``: it takes effect all the same.

``slow`` takes effect at once and is answered too late; ``late`` is not answered, and takes effect
when :data:`LATE_SECONDS` have passed on the test's clock.
"""
DNS, POOLS = "dns", "pools"


@dataclass
class Call:
    """One call as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def writes(self) -> bool:
        return self.method != "GET"


@dataclass
class FakeCloudflare:
    """The API, and what it has seen.

    :ivar scopes: by token, what it may do.
    :ivar faults: by the number of the call, from 0, what befalls it; then all is well.
    :ivar limit: calls in five minutes.
    """

    zone: FakeZone
    pools: FakePools
    now: Callable[[], float]
    url: str = ""
    scopes: dict[str, set[str]] = field(default_factory=lambda: {TOKEN: {DNS, POOLS}})
    faults: dict[int, str] = field(default_factory=dict)
    limit: int = 1200
    calls: list[Call] = field(default_factory=list)
    befallen: Counter[str] = field(default_factory=Counter)
    silent: bool = False
    blocked_until: float = 0.0
    _late: list[tuple[float, Call, str]] = field(default_factory=list)
    _window: list[float] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def reset_calls(self) -> None:
        self.calls.clear()
        self.faults.clear()
        self.befallen.clear()
        self.blocked_until = 0.0
        self._window.clear()
        self._late.clear()

    def postpone(self, call: Call, token: str) -> None:
        """Let a call take effect later."""
        with self._lock:
            self._late.append((self.now() + LATE_SECONDS, call, token))

    def catch_up(self, *, entirely: bool = False) -> None:
        """Let what was postponed take effect, as far as it is due."""
        with self._lock:
            due = [one for one in self._late if entirely or one[0] <= self.now()]
            self._late = [one for one in self._late if one not in due]
            for _, call, token in due:
                self.answer(call, token)

    def answer(self, call: Call, token: str) -> tuple[int, dict[str, Any]]:
        """Return status and body, as if nothing befell the call."""
        with self._lock:
            try:
                self._refuse_token(token)
                result, info = self._routed(call, token)
            except ApiRefusal as refusal:
                return refusal.status, envelope(None, refusal.errors)
            return 200, envelope(result, [], info)

    def limits(self) -> tuple[bool, dict[str, str]]:
        """Count a call; return whether it is within the limits, and the headers about them."""
        at = self.now()
        self._window = [before for before in self._window if before > at - 300] + [at]
        left = max(0, self.limit - len(self._window))
        if len(self._window) > self.limit:
            self.blocked_until = max(self.blocked_until, at + 300)
        reset = int(self._window[0] + 300 - at) + 1
        headers = {
            "Ratelimit": f'"default";r={left};t={reset}',
            "Ratelimit-Policy": f'"default";q={self.limit};w=300',
        }
        if at < self.blocked_until:
            headers["Retry-After"] = str(int(self.blocked_until - at) + 1)
            return False, headers
        return True, headers

    def _refuse_token(self, token: str) -> None:
        if not token:
            chain = (6111, "Invalid format for Authorization header")
            raise ApiRefusal(400, 6003, "Invalid request headers", chain)
        if token not in self.scopes:
            raise ApiRefusal(401, 1000, "Invalid API Token")

    def _routed(self, call: Call, token: str) -> tuple[Any, dict[str, int] | None]:
        match call.path.strip("/").split("/"):
            case ["zones", zone, "dns_records", *rest]:
                if zone != self.zone.id:
                    path = f"/client/v4{call.path}"
                    text = f"Could not route to {path}, perhaps your object identifier is invalid?"
                    raise ApiRefusal(404, 7003, text)
                self._refuse_scope(token, DNS)
                return self._records(call, rest)
            case ["accounts", account, "load_balancers", *rest] if account == self.pools.account:
                self._refuse_scope(token, POOLS)
                return self._load_balancers(call, rest), None
        raise ApiRefusal(404, 7003, f"Could not route to /client/v4{call.path}")

    def _refuse_scope(self, token: str, scope: str) -> None:
        if scope not in self.scopes[token]:
            raise ApiRefusal(403, 10000, "Authentication error")

    def _records(self, call: Call, rest: list[str]) -> tuple[Any, dict[str, int] | None]:
        match call.method, rest:
            case "GET", []:
                return self.zone.listed(call.query)
            case "POST", []:
                return self.zone.create(call.body), None
            case "POST", ["batch"]:
                return self.zone.batch(call.body), None
            case "GET", [record]:
                return self.zone.get(record), None
            case ("PATCH" | "PUT") as method, [record]:
                return self.zone.edit(record, call.body, whole=method == "PUT"), None
            case "DELETE", [record]:
                return self.zone.delete(record), None
        raise ApiRefusal(405, 7001, f"Method {call.method} not available for that URI.")

    def _load_balancers(self, call: Call, rest: list[str]) -> Any:
        match call.method, rest:
            case "GET", ["pools", pool]:
                return self.pools.get(pool)
            case "PATCH", ["pools", pool]:
                return self.pools.edit(pool, call.body)
            case "GET", ["pools", pool, "health"]:
                return self.pools.health(pool)
            case "GET", ["monitors", monitor]:
                return self.pools.monitor(monitor)
        raise ApiRefusal(405, 7001, f"Method {call.method} not available for that URI.")


def envelope(
    result: Any, errors: list[dict[str, Any]], info: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the body that every answer has."""
    body = {"result": result, "success": not errors, "errors": errors, "messages": []}
    return body if info is None else {**body, "result_info": dict(info)}


REFUSALS = {
    "429": (429, 971, "Please wait and consider throttling your request speed"),
    "500": (500, 10001, "Internal server error"),
    "503-done": (503, 10001, "Service unavailable"),
    "duplicate": (400, 81058, "An identical record already exists."),
    "invalid": (400, 1004, "DNS Validation Error"),
}
SPARED = ("429", "500", "dropped", "duplicate", "invalid", "late")
"""The faults of calls that take no effect, or not yet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    fake: FakeCloudflare

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # whoever asked has given up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for each answer: the next does not wait for an acknowledgement
    server: _Server

    def _serve(self) -> None:
        fake = self.server.fake
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/client/v4")
        sent = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, path, dict(parse_qsl(parts.query)), body, sent)
        if fake.silent:
            return self._hang_up()
        with fake._lock:
            fault = fake.faults.pop(len(fake.calls), "")
            fake.calls.append(call)
            if fault == "429":
                fake.blocked_until = max(fake.blocked_until, fake.now() + 120)
            fits, headers = fake.limits()
        fault = fault if fits else "429"
        if fault:
            fake.befallen[fault] += 1
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        fake.catch_up()
        if fault == "late":
            fake.postpone(call, token)
        answer = (200, {}) if fault in SPARED else fake.answer(call, token)
        return self._befall(fault, answer, headers)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

    def _befall(
        self, fault: str, answer: tuple[int, dict[str, Any]], headers: dict[str, str]
    ) -> None:
        if fault in REFUSALS:
            status, code, message = REFUSALS[fault]
            answer = status, envelope(None, [{"code": code, "message": message}])
        elif fault == "garbage":
            return self._send(200, b"<html>an edge in the way</html>", headers)
        elif fault:
            time.sleep(SLOW_SECONDS if fault in ("slow", "late") else 0.0)
            return self._hang_up()
        return self._send(answer[0], json.dumps(answer[1]).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def running_cloudflare(now: Callable[[], float]) -> Iterator[FakeCloudflare]:
    """Run the API until the end of the block, on a clock of the test's."""
    zone = FakeZone(ZONE, "example.com", now=now)
    fake = FakeCloudflare(zone, FakePools(ACCOUNT, now=now), now)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.fake = fake
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/client/v4"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
