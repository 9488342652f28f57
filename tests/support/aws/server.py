"""AWS on loopback: moto, and in front of it what makes it as slow and as strict as AWS is.

moto is too kind: its targets are always healthy and never drain, it knows no client tokens, and a
change of the DNS is in sync at once. A :class:`Truth` answers instead where that matters.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from unittest import mock

from tests.support.aws.calls import Call, call_of
from tests.support.aws.faults import CODES, Fault, Trap, refusal, reset

Answer = tuple[int, str, bytes]
Forward = Callable[[], Answer]
SLOW_SECONDS = 0.3

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "MOTO_ENABLE_AMI_VALIDATION": "1",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "1",
}


class RefusedCall(Exception):
    """A truth refuses a call, as AWS would."""

    def __init__(self, code: str, said: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.said, self.status = code, said, status


class Truth(Protocol):
    """Answers some calls as AWS would."""

    def answer(self, call: Call, forward: Forward) -> Answer | None:
        """Return the answer, made with or without moto's; ``None`` leaves the call to moto.

        :raises RefusedCall: to refuse it.
        """
        ...


@dataclass
class Cloud:
    """A running AWS.

    :ivar calls: every call so far, in order.
    :ivar traps: those that are set; an empty list is a cloud without faults.
    """

    app: Callable[..., Iterable[bytes]]
    truths: list[Truth] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    traps: list[Trap] = field(default_factory=list)
    silent: bool = False
    url: str = ""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a WSGI request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        call = call_of(environ, body)
        if not call.action:
            return [self._respond(start, self._forward(environ, body))]
        fault = self._fault(call)
        if fault is Fault.RESET:
            reset(environ)
        status, kind, content = self._answer(call, environ, body, fault)
        if fault is Fault.LOST:
            reset(environ)
        return [self._respond(start, (status, kind, content))]

    def count(self) -> tuple[int, int]:
        """Return how many calls read and how many wrote, since the last :meth:`forget`."""
        writes = sum(call.writes for call in self.calls)
        return len(self.calls) - writes, writes

    def forget(self) -> None:
        """Count calls from here on, and disarm all traps."""
        with self._lock:
            self.calls.clear()
            self.traps.clear()

    def trap(self, fault: Fault, **options: Any) -> Trap:
        """Set a trap."""
        trap = Trap(fault, **options)
        self.traps.append(trap)
        return trap

    @contextmanager
    def falling_silent(self) -> Iterator[None]:
        """Answer nobody until the end of the block."""
        self.silent = True
        try:
            yield
        finally:
            self.silent = False

    def _fault(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls.append(call)
            sprung = next((trap.fault for trap in self.traps if trap.springs(call)), None)
        return Fault.RESET if self.silent else sprung

    def _answer(
        self, call: Call, environ: dict[str, Any], body: bytes, fault: Fault | None
    ) -> Answer:
        if fault is Fault.SLOW:
            time.sleep(SLOW_SECONDS)
        if fault is not None and fault in CODES:
            status, code = CODES[fault]
            return refusal(call.service, status, code, f"{call.action} was {fault}")
        try:
            with self._lock:  # as AWS does, one change of a thing after the other
                for truth in self.truths:
                    answer = truth.answer(call, lambda: self._forward(environ, body))
                    if answer is not None:
                        return answer
                return self._forward(environ, body)
        except RefusedCall as refused:
            return refusal(call.service, refused.status, refused.code, refused.said)

    def _forward(self, environ: dict[str, Any], body: bytes) -> Answer:
        from io import BytesIO

        shown: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[..., None]:
            shown[:] = [int(status.split()[0]), dict(headers)]
            return lambda _: None

        environ = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        content = b"".join(self.app(environ, start))
        headers = {key.lower(): value for key, value in shown[1].items()}
        return shown[0], headers.get("content-type", "text/xml"), content

    @staticmethod
    def _respond(start: Callable[..., Any], answer: Answer) -> bytes:
        status, kind, content = answer
        headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
        start(f"{status} {'OK' if status < 400 else 'Error'}", headers)
        return content


@contextmanager
def running_cloud(environment: Mapping[str, str] | None = None) -> Iterator[Cloud]:
    """Give an AWS that boto3 finds by the environment, until the end of the block."""
    import logging

    from moto.moto_api._internal.models import moto_api_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class KeepAlive(WSGIRequestHandler):
        """Keeps connections open, as AWS does; werkzeug's own handler closes each of them."""

        protocol_version = "HTTP/1.1"
        wbufsize = -1  # a reply is one packet: nothing of it waits for an acknowledgement

        def run_wsgi(self) -> None:
            environ = self.make_environ()
            try:
                content = b"".join(cloud(environ, self.begin))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()
            except ConnectionError:
                self.close_connection = True

        def begin(self, status: str, headers: list[tuple[str, str]]) -> None:
            code, _, reason = status.partition(" ")
            self.send_response(int(code), reason)
            for name, value in headers:
                self.send_header(name, value)

        def log(self, *_: Any) -> None:
            """Nobody has to read of every request, nor of a connection that a fault ended."""

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    # What moto holds belongs to the process: each cloud begins empty, whoever had one before.
    moto_api_backend.reset()
    cloud = Cloud(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, cloud, threaded=True, request_handler=KeepAlive)
    server.daemon_threads = True  # type: ignore[attr-defined]
    cloud.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    changed = {**_ENVIRONMENT, "AWS_ENDPOINT_URL": cloud.url, **(environment or {})}
    try:
        with mock.patch.dict(os.environ, changed):
            for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
                os.environ.pop(name, None)
            yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
