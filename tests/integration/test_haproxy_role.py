"""The role ``haproxy``, run by Ansible without become or systemd."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import yaml

from tests.support.agents import loopback
from tests.support.haproxy import ROLE, Haproxy, executable, free_port, service

RESOURCE = {
    "name": "checkout",
    "primary": "edge-a",
    "service": {"port": 8080, "health": {"path": "/healthz"}},
    "shadows": {"candidates": {"groups": ["edge"]}},
}


class Play:
    """One load balancer's host, and runs of the role on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = loopback()
        # The role starts it: here it is only where its socket will be.
        self.haproxy = Haproxy(folder / "run", cast("subprocess.Popen[bytes]", None))
        hosts = {f"edge-{c}": {"foreshadow_address": loopback()} for c in "ab"}
        director = {
            "kind": "haproxy",
            "backend": "app",
            "endpoints": [{"agent": "lb-1", "socket": str(self.haproxy.socket)}],
            "targets": {"edge-b": "b"},
        }
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "foreshadow_address": self.address,
            "foreshadow_relay_sockets": [str(self.haproxy.socket)],
            "foreshadow_haproxy_supervisor": "process",
            "foreshadow_haproxy_executable": executable(),
            "foreshadow_haproxy_config_dir": str(folder / "config"),
            "foreshadow_haproxy_state_dir": str(folder / "state"),
            "foreshadow_haproxy_threads": 1,
            "foreshadow_haproxy_binds": {"app": [f"{self.address}:{free_port(self.address)}"]},
            "foreshadow_resources": [{**RESOURCE, "directors": [director]}],
        }
        self.inventory = {
            "edge": {"hosts": hosts},
            "foreshadow_haproxy": {"hosts": {"lb-1": {"foreshadow_relay": True}}},
            "foreshadow_pool": {
                "children": {"edge": {}, "foreshadow_haproxy": {}},
                "hosts": {"other": {"foreshadow_address": "127.0.0.9"}},
            },
        }

    @property
    def config(self) -> Path:
        return self.folder / "config" / "haproxy.cfg"

    def run(self, *arguments: str, **variables: Any) -> tuple[int, str]:
        """Run the role; return how many tasks changed something, and what Ansible said."""
        inventory = self.folder / "inventory.yml"
        inventory.write_text(yaml.safe_dump(self.inventory))
        play = {
            "hosts": "foreshadow_haproxy",
            "gather_facts": False,
            "vars": {**self.variables, **variables},
            "roles": ["haproxy"],
        }
        playbook = self.folder / "play.yml"
        playbook.write_text(yaml.safe_dump([play]))
        environment = {
            **os.environ,
            "ANSIBLE_ROLES_PATH": str(ROLE.parent),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
        }
        environment.pop("ANSIBLE_COLLECTIONS_PATH", None)
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, "-i", inventory, playbook, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        changed = re.search(r"changed=(\d+)", said)
        assert changed is not None
        return int(changed[1]), said


@pytest.fixture
def play() -> Iterator[Play]:
    # Not under pytest's folder: the path of a Unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="fs-role-"))
    try:
        yield Play(folder)
    finally:
        pid_file = folder / "run" / "haproxy.pid"
        if pid_file.exists():
            with suppress(psutil.NoSuchProcess):
                master = psutil.Process(int(pid_file.read_text().split()[0]))
                master.terminate()
                master.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def test_the_role_from_nothing_to_a_reload_that_keeps_the_traffic(play: Play) -> None:
    changed, _ = play.run()
    assert changed > 0
    first = play.haproxy.pid()
    told = [line.split()[3:7:3] for line in play.haproxy.ask("show servers state app").splitlines()]
    assert told[2:6] == [["edge-a", "0"], ["b", "5"], ["edge-a-net", "5"], ["b-net", "5"]]

    again, said = play.run()
    assert again == 0, said
    assert play.haproxy.pid() == first

    # By now the traffic is elsewhere, and nobody has saved that: the role does, before it reloads.
    play.haproxy.ask("set server app/b weight 100; set server app/b state ready")
    play.haproxy.ask("set server app/edge-a state drain")
    changed, _ = play.run(foreshadow_haproxy_timeout="2m")
    assert changed == 2  # the file and the reload
    assert play.haproxy.pid() != first
    told = [line.split()[3:7:3] for line in play.haproxy.ask("show servers state app").splitlines()]
    assert told[2:4] == [["edge-a", "8"], ["b", "4"]]


def test_a_configuration_that_is_not_one_is_never_put_in_place(play: Play) -> None:
    with pytest.raises(AssertionError, match="nonsense"):
        play.run(foreshadow_haproxy_global_lines=["nonsense"])
    assert not play.config.exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((loopback(), 0))
        other.listen()
        taken = "{}:{}".format(*other.getsockname())
        config = tmp_path / "haproxy.cfg"
        config.write_text(f"defaults\n timeout connect 1s\nlisten x\n bind {taken}\n")
        paths = [str(tmp_path / name) for name in ("admin.sock", "master.sock", "pid")]
        script = ROLE / "files" / "foreshadow_haproxy.py"
        done = subprocess.run(
            [sys.executable, script, "start", *paths, executable(), config],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert taken in done.stderr
    assert done.stderr.count("\n") == 1


def test_check_mode_shows_services_that_are_written_out(play: Play) -> None:
    bind = f"{play.address}:{free_port(play.address)}"
    entry = service("shop", bind, "x", {"x": "127.0.0.1:9", "y": "127.0.0.1:9"}, "")
    services = [{**entry, "lines": ["cookie SRV insert"]}]
    _, written = play.run("--check", "--diff", foreshadow_haproxy_services=services)
    assert "backend shop" in written
    assert "cookie SRV insert" in written
    assert "httpchk" not in written
    assert "checkout" not in written
    assert not play.config.exists()
