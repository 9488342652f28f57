"""What belongs to a state: trees with excludes and the secrets guard, and the workload profile."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SpecError, SyncError
from foreshadow.domain.protocols import Findings
from foreshadow.sync.files import FilesCapture
from foreshadow.sync.profile import ProfileCapture
from foreshadow.sync.snapshot import Photographer
from tests.unit.sync.trees import scene


def paths(findings: Findings) -> set[str]:
    return {found.path for found in findings.found}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "live"
    for name in ("app.conf", "tls/server.key", "tls/server.crt", "logs/a.log", "logs/keep.txt"):
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return state


def test_the_guard_keeps_secrets_back_and_tells(state: Path) -> None:
    (state / ".env").write_text("PASSWORD=x")
    (state / "id_rsa.old").write_text("x")
    (state / ".ssh").mkdir()
    (state / ".ssh/config").write_text("x")
    findings = FilesCapture({}).capture(scene(state))
    assert paths(findings) == {
        "app.conf", "tls", "tls/server.crt", "logs", "logs/a.log", "logs/keep.txt"
    }  # fmt: skip
    (note,) = findings.notes
    assert note.startswith("left out .env, .ssh, id_rsa.old and 1 more: it may hold a secret")


def test_a_secret_that_is_asked_for_by_name_travels(state: Path) -> None:
    findings = FilesCapture({"include_secrets": ["tls/*.key"]}).capture(scene(state))
    assert "tls/server.key" in paths(findings)
    assert findings.notes == ()


def test_excludes_fit_names_or_paths_and_are_silent(state: Path) -> None:
    findings = FilesCapture({"exclude": ["*.log", "tls/*"]}).capture(scene(state))
    assert paths(findings) == {"app.conf", "tls", "logs", "logs/keep.txt"}
    assert FilesCapture({"exclude": ["logs", "tls"]}).capture(scene(state)).notes == ()


def test_what_is_no_file_directory_or_inner_link_is_left_out_with_words(state: Path) -> None:
    os.mkfifo(state / "pipe")
    (state / "away").symlink_to("/etc/passwd")
    (state / "up").symlink_to("../outside")
    (state / "inner").symlink_to("tls/server.crt")
    findings = FilesCapture({}).capture(scene(state))
    assert {"pipe", "away", "up"}.isdisjoint(paths(findings))
    assert "inner" in paths(findings)
    told = " ".join(findings.notes)
    assert "left out pipe: it is neither a file" in told
    assert "left out away: it is a link, and its target is not relative" in told
    assert "left out up: it is a link, and its target leaves the state" in told


def test_paths_below_state_and_absolute_ones_have_places_of_their_own(
    state: Path, tmp_path: Path
) -> None:
    below = FilesCapture({"path": "{state}/logs"}).capture(scene(state))
    assert paths(below) == {"logs", "logs/a.log", "logs/keep.txt"}
    other = tmp_path / "etc/shop"
    other.mkdir(parents=True)
    (other / "shop.conf").write_text("x")
    capture = FilesCapture({"path": str(other)})
    with pytest.raises(SpecError, match="agents share this machine"):
        capture.capture(scene(state))
    place = f"absolute{other}"
    found = capture.capture(scene(state, shared=False))
    assert paths(found) == {place, f"{place}/shop.conf"}
    # Once a version brought the folder, that is what the service runs on.
    (state / place).mkdir(parents=True)
    (state / place / "new.conf").write_text("x")
    assert f"{place}/new.conf" in paths(capture.capture(scene(state, shared=False)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "etc/x"}, "is no place"),
        ({"path": "{state}/../x"}, "without . or .."),
        ({"path": "/"}, "no place for a state"),
        ({"path": "{stat}/x"}, "is no place"),
        ({"exclud": ["x"]}, "did you mean exclude"),
    ],
)
def test_odd_options_are_told_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        FilesCapture(options)


def test_a_path_that_is_not_there_is_told(state: Path) -> None:
    with pytest.raises(SyncError, match="No such file"):
        FilesCapture({"path": "{state}/gone"}).capture(scene(state))


def test_several_entries_make_one_version_with_parents_in_between(
    state: Path, tmp_path: Path
) -> None:
    captures = [FilesCapture({"path": "{state}/tls/server.crt"}), FilesCapture({})]
    snapshot = Photographer(tmp_path / "a", captures).take(scene(state), WallTime(1.0))
    assert [e.path for e in snapshot.entries if e.path.startswith("tls")] == [
        "tls", "tls/server.crt"
    ]  # fmt: skip
    alone = Photographer(tmp_path / "b", captures[:1]).take(scene(state), WallTime(1.0))
    assert [(e.path, e.kind.value) for e in alone.entries] == [
        ("tls", "directory"), ("tls/server.crt", "file")
    ]  # fmt: skip


def test_setuid_bits_stay_behind_and_are_told(state: Path, tmp_path: Path) -> None:
    (state / "app.conf").chmod(0o4755)
    snapshot = Photographer(tmp_path / "a", [FilesCapture({})]).take(scene(state), WallTime(1.0))
    entry = next(e for e in snapshot.entries if e.path == "app.conf")
    assert entry.mode == 0o755
    assert any("setuid" in note and "app.conf" in note for note in snapshot.notes)


ANSWER = {"requests": [{"route": "b", "rate": 1, "avg": 0.5}, {"route": "a", "rate": 3, "avg": 0}]}


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.body)  # type: ignore[attr-defined]

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.body = json.dumps(ANSWER).encode()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def profile(server: HTTPServer, query: str) -> Findings:
    url = f"http://{{address}}:{server.server_port}/metrics.json"
    return ProfileCapture({}).capture(scene(Path("/"), profile={"url": url, "query": query}))


def test_the_profile_is_shaped_by_the_query_and_gets_its_shares(server: HTTPServer) -> None:
    findings = profile(server, "requests[].{kind: route, rate: rate, latency: avg}")
    assert findings.profile == (
        {"kind": "a", "rate": 3.0, "latency": 0.0, "share": 0.75},
        {"kind": "b", "rate": 1.0, "latency": 0.5, "share": 0.25},
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("requests", "rows with kind, rate and latency"),
        ("nothing", "must give a list"),
        ("requests[].{kind: route, rate: route, latency: avg}", "is not a number"),
    ],
)
def test_a_query_that_does_not_fit_leaves_a_note(server: HTTPServer, query: str, said: str) -> None:
    findings = profile(server, query)
    assert findings.profile is None
    assert said in findings.notes[0]


def test_a_service_that_does_not_answer_leaves_a_note(server: HTTPServer) -> None:
    server.body = b"<html>"  # type: ignore[attr-defined]
    assert "not captured" in profile(server, "requests").notes[0]
    closed = scene(Path("/"), profile={"url": "http://127.0.0.1:1/", "query": "a"})
    assert "Connection refused" in ProfileCapture({}).capture(closed).notes[0]


def test_a_profile_without_a_place_or_with_a_broken_query_is_refused() -> None:
    with pytest.raises(SpecError, match="give the service a profile"):
        ProfileCapture({}).capture(scene(Path("/")))
    broken = {"url": "http://x/", "query": "[?"}
    with pytest.raises(SpecError, match="JMESPath"):
        ProfileCapture({}).capture(scene(Path("/"), profile=broken))
