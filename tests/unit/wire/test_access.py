"""A host is not looked up for every call, and yet found where it has gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreshadow.domain.errors import UnknownNameError
from foreshadow.domain.fleet import Host
from foreshadow.wire.access import KNOWN_SECONDS, Access
from foreshadow.wire.pki import init_authority, issue


def test_a_host_is_looked_up_again_after_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    addresses = {"edge-a": "127.0.0.1"}
    now = [100.0]

    def hosts(name: str) -> Host:
        asked.append(name)
        if name not in addresses:
            raise UnknownNameError("there is no such host", where=name)
        return Host(name=name, address=addresses[name])

    monkeypatch.setattr("foreshadow.wire.access.time.monotonic", lambda: now[0])
    init_authority(tmp_path)
    access = Access(hosts, issue(tmp_path, "controller", "controller", []).credentials)
    first = access.client("edge-a")
    assert access.client("edge-a") is first
    assert asked == ["edge-a"]
    addresses["edge-a"] = "127.0.0.2"
    now[0] += KNOWN_SECONDS
    assert access.client("edge-a").host.address == "127.0.0.2"
    for _ in range(2):
        with pytest.raises(UnknownNameError):
            access.client("edge-z")
    assert asked[-2:] == ["edge-z", "edge-z"], "what is not there may be at the next call"
    access.close()
