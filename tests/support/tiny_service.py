"""A service that starts fast: ``python tiny_service.py ADDRESS PORT STATE [TRAIT…]``.

It answers ``/healthz``, ``/inflight``, ``/profile``, ``/pid``, ``/loaded`` (what it read from the
file ``data`` of its state, at start and at SIGHUP) and ``/write/TEXT``. Traits: ``unwell`` fails
its health check, ``stubborn`` ignores SIGTERM, ``forks`` starts a child in a session of its own.
"""

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

address, port, state, *traits = sys.argv[1:]
data = Path(state) / "data"
loaded = ""


def load(*_: object) -> None:
    global loaded
    loaded = data.read_text() if data.exists() else ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        global loaded
        status, body = 200, "ok"
        match self.path.split("/")[1:]:
            case ["healthz"]:
                status = 503 if "unwell" in traits else 200
            case ["inflight"]:
                body = json.dumps({"in_flight": 3})
            case ["profile"]:
                rows = [
                    {"route": "/a", "rate": 30.0, "avg": 0.01, "p99": 0.05},
                    {"route": "/b", "rate": 10.0, "avg": 0.03, "p99": 0.2},
                ]
                body = json.dumps({"requests": rows})
            case ["pid"]:
                body = str(os.getpid())
            case ["environment"]:
                body = json.dumps(dict(os.environ))
            case ["loaded"]:
                body = loaded
            case ["write", text]:
                data.write_text(text)
                loaded = text
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


signal.signal(signal.SIGHUP, load)
if "stubborn" in traits:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "forks" in traits:
    subprocess.Popen(["sleep", "600"], start_new_session=True)
if "fails" in traits:
    sys.exit("no disk in drive A")
load()
print("serving", flush=True)
server = ThreadingHTTPServer((address, int(port)), Handler)
server.serve_forever()
