"""The source ``prometheus`` against a stub of its HTTP API on loopback."""

import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from typing import Any
from urllib.parse import parse_qs

import pytest

from foreshadow.domain.clock import MetricClock, MetricTime
from foreshadow.domain.errors import MetricsError
from foreshadow.domain.series import Window
from foreshadow.metrics.prometheus import PrometheusSource
from foreshadow.testing.metrics import DATA, SourceConformance

WINDOW = Window(MetricTime(0), MetricTime(3000), 60.0)
Answer = tuple[int, bytes]


class Stub:
    """Answers range queries: of each resource, its number times the time."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, str]], Answer] = self.matrix
        self.names = ["r0", "r1", "r2"]
        self.url = ""

    def matrix(self, form: dict[str, str]) -> Answer:
        first, last, step = (float(form[key]) for key in ("start", "end", "step"))
        count = round((last - first) / step) + 1
        if count > 11000:
            return error(400, "exceeded maximum resolution of 11,000 points per timeseries")
        rows = [
            {
                "metric": {"resource": name},
                "values": [[first + i * step, str(k * (first + i * step))] for i in range(count)],
            }
            for k, name in enumerate(self.names)
        ]
        return success(rows)


def success(rows: list[Any], kind: str = "matrix") -> Answer:
    body = {"status": "success", "data": {"resultType": kind, "result": rows}}
    return 200, dumps(body).encode()


def error(status: int, said: str) -> Answer:
    return status, dumps({"status": "error", "errorType": "bad_data", "error": said}).encode()


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/prom/api/v1/query_range"
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {key: values[0] for key, values in parse_qs(body).items()}
            made.queries.append(form)
            made.headers.append(dict(self.headers))
            status, content = made.answer(form)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """A client that ran out of patience has gone: nobody has to be told."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/prom/"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def source(url: str, **options: Any) -> PrometheusSource:
    return PrometheusSource({"url": url, **options}, MetricClock(), None)


def test_one_query_answers_for_many_resources(stub: Stub) -> None:
    found = source(stub.url).fetch("max by (resource) (cpu)", ["r0", "r2", "gone"], WINDOW)
    assert set(found) == {"r0", "r2"}
    assert found["r2"].times() == WINDOW.grid()
    assert found["r2"].values[:2] == (120.0, 240.0)
    assert len(stub.queries) == 1
    assert stub.queries[0]["query"] == "max by (resource) (cpu)"


def test_a_long_stretch_is_asked_for_page_by_page_and_nothing_is_lost(stub: Stub) -> None:
    paged = source(stub.url, most_points=7).fetch("cpu", ["r1"], WINDOW)
    whole = source(stub.url).fetch("cpu", ["r1"], WINDOW)
    assert paged == whole
    assert len(stub.queries) == math.ceil(50 / 7) + 1
    long = Window(MetricTime(0), MetricTime(60.0 * 25_000), 60.0)
    assert source(stub.url).fetch("cpu", ["r1"], long)["r1"].present() == 25_000


def test_many_resources_make_the_pages_shorter(stub: Stub) -> None:
    stub.names = [f"r{i}" for i in range(100)]
    found = source(stub.url, most_samples=1000).fetch("cpu", stub.names, WINDOW)
    assert len(found) == 100
    assert len(stub.queries) == 5


def test_not_a_number_is_a_gap(stub: Stub) -> None:
    rows = [{"metric": {"resource": "r0"}, "values": [[60, "NaN"], [120, "+Inf"], [180, "3"]]}]
    stub.answer = lambda _: success(rows)
    series = source(stub.url).fetch("cpu", ["r0"], WINDOW)["r0"]
    assert series.present() == 1
    assert series.values[2] == 3.0


def test_the_token_comes_from_a_file(stub: Stub, tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    source(stub.url, bearer_token_file=str(token)).fetch("cpu", ["r0"], WINDOW)
    assert stub.headers[0]["Authorization"] == "Bearer abc"


TWICE = [{"metric": {"resource": "r0"}, "values": []}] * 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(400, 'parse error: unexpected "}"'), "refused the query 'cpu': parse error"),
        (error(403, "no"), "refused us with HTTP 403; set bearer_token_file"),
        ((200, b"<html>welcome</html>"), "no JSON; check that url"),
        ((502, b"bad gateway"), "HTTP 502 and no JSON"),
        (success([], "vector"), "gives a vector and no series"),
        (success([{"metric": {"pod": "x"}, "values": []}]), "without the label resource"),
        (success(TWICE), "more than one series for resource r0"),
    ],
)
def test_a_bad_answer_is_told_in_one_line(stub: Stub, answer: Answer, said: str) -> None:
    stub.answer = lambda _: answer
    with pytest.raises(MetricsError) as caught:
        source(stub.url).fetch("cpu", ["r0"], WINDOW)
    assert said in str(caught.value)
    assert stub.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_or_too_slow_is_told(stub: Stub) -> None:
    with pytest.raises(MetricsError, match="cannot be asked"):
        source("http://127.0.0.1:9").fetch("cpu", ["r0"], WINDOW)
    release = threading.Event()

    def slow(form: dict[str, str]) -> Answer:
        release.wait(5)
        return success([])

    stub.answer = slow
    try:
        with pytest.raises(MetricsError, match=r"did not answer within 0\.2 s"):
            source(stub.url, timeout=0.2).fetch("cpu", ["r0"], WINDOW)
    finally:
        release.set()


class TestConformance(SourceConformance):
    class World:
        def __init__(self, stub: Stub) -> None:
            self._stub = stub
            stub.answer = self._answer

        def source(self) -> PrometheusSource:
            return source(self._stub.url)

        def _answer(self, form: dict[str, str]) -> Answer:
            first, last = float(form["start"]), float(form["end"])
            return success(
                [
                    {
                        "metric": {"resource": name},
                        "values": [[at, str(v)] for at, v in cells.items() if first <= at <= last],
                    }
                    for name, cells in DATA.items()
                ]
            )

    @pytest.fixture
    def world(self, stub: Stub) -> World:
        return self.World(stub)
