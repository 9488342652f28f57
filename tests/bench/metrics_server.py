"""A stand-in for the query API of a Prometheus: daily rhythms of many resources.

Run as a program it prints its port, and then serves until it is ended:
``python -m tests.bench.metrics_server 10000``. What each metric is worth at a time depends on that
time alone, so that a past that is asked for twice is the same.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import numpy as np

DAY = 86400.0


def name_of(row: int) -> str:
    """Return the name of a resource."""
    return f"r{row:05d}"


class MetricsServer(ThreadingHTTPServer):
    """Answers ``query_range`` for all resources, and ``/spent`` with how it was asked.

    :ivar spent: seconds of answering, ``samples`` that were sent, and ``requests`` for them.
    """

    daemon_threads = True

    def __init__(self, resources: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        rows = np.arange(resources)
        self.names = [name_of(row) for row in range(resources)]
        self.phase = (rows * 0.618034) % 1.0
        self.height = 0.05 + 0.1 * ((rows * 0.414214) % 1.0)
        self.spent = {"seconds": 0.0, "samples": 0, "requests": 0}

    def answer(self, start: float, end: float, step: float) -> bytes:
        """Return the answer to a range query."""
        times = start + step * np.arange(int((end - start) / step + 1e-6) + 1)
        turns = times[None, :] / DAY + self.phase[:, None]
        noise = np.sin(times[None, :] * 12.9898 + 1e4 * self.phase[:, None]) * 43758.5453 % 1.0
        values = 0.4 + self.height[:, None] * np.sin(2 * np.pi * turns) + 0.05 * noise
        stamps = times.tolist()
        result = [
            {
                "metric": {"resource": name},
                "values": [[at, f"{value:.4f}"] for at, value in zip(stamps, row, strict=True)],
            }
            for name, row in zip(self.names, values.tolist(), strict=True)
        ]
        self.spent["samples"] += values.size
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        return json.dumps(body, separators=(",", ":")).encode()


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        begin = time.perf_counter()
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        start, end, step = (float(form[key][0]) for key in ("start", "end", "step"))
        self._send(self.server.answer(start, end, step))
        self.server.spent["requests"] += 1
        self.server.spent["seconds"] += time.perf_counter() - begin

    def do_GET(self) -> None:
        self._send(json.dumps(self.server.spent).encode())

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = MetricsServer(int(sys.argv[1]))
    print(server.server_address[1], flush=True)
    server.serve_forever()
