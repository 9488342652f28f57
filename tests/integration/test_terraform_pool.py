"""Pools of agents on loopback addresses, made by real Terraform and seen by Ansible."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from foreshadow.cli import main
from foreshadow.wire import pki
from tests.support.agents import loopback

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = shutil.which("terraform")
pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not on PATH")
FORESHADOW = str(Path(sys.executable).parent / "foreshadow")


class Pool:
    """A copy of the example, whose Terraform, state and agents are in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.agents = folder / "agents"
        self._capsys = capsys
        shutil.copytree(
            ROOT / "terraform", folder / "terraform",
            ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"),
        )  # fmt: skip
        self.project = folder / "terraform" / "examples" / "local"
        self.hosts: dict[str, Any] = {}
        for i, name in enumerate(("edge-a", "edge-b", "edge-c", "edge-d")):
            self.add(name, ("north", "south")[i // 2])
        controller = pki
        controller.init_authority(self.agents / "pki")
        files = controller.issue(self.agents / "pki", "tests", "controller").credentials
        self.certificate = {"ca": str(files.ca), "cert": str(files.cert), "key": str(files.key)}

    def add(self, name: str, zone: str) -> None:
        self.hosts[name] = {"address": loopback(), "zone": zone, "capacity": {"cpu": 2}}

    @property
    def variables(self) -> dict[str, Any]:
        return {"folder": str(self.agents), "executable": FORESHADOW, "hosts": self.hosts}

    def run(self, action: str, *options: str, fails: bool = False) -> Any:
        """Run ``foreshadow pool``; return what it tells as JSON, or its error."""
        file = self.folder / "variables.json"
        file.write_text(json.dumps(self.variables))
        words = ["pool", action, str(self.project), "--json", *options]
        if action != "show":
            words += [f"--variables={file}", *(f"--{k}={v}" for k, v in self.certificate.items())]
        status = main(words)
        said = self._capsys.readouterr()
        assert bool(status) == fails, said.err
        return said.err if fails else json.loads(said.out)

    def pid(self, name: str) -> int:
        return int((self.agents / name / "state" / "agent.pid").read_text())

    def processes(self) -> list[int]:
        """Return everything that runs with this folder in its command or its environment."""
        return [
            process.pid
            for process in psutil.process_iter()
            if process.pid != os.getpid() and f"{self.agents}/" in " ".join(_command(process))
        ]

    def inventory(self, **options: Any) -> Path:
        file = self.folder / "edge.terraform_pool.yml"
        content = {
            "plugin": "foreshadow.core.terraform_pool",
            "project_path": ["terraform/examples/local"],
            "keyed_groups": [
                {"key": "foreshadow_zone", "prefix": "zone"},
                {"key": "foreshadow_driver", "prefix": "driver"},
            ],
            "compose": {"ansible_python_interpreter": "ansible_playbook_python"},
        }
        file.write_text(yaml.safe_dump(content | options))
        return file

    def ansible(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        }
        command = [sys.executable, "-m", "ansible.cli." + words[0], *words[1:]]
        return subprocess.run(
            command, cwd=self.folder, env=environment, check=False, capture_output=True, text=True
        )

    def close(self) -> None:
        for name in self.hosts:
            words = ["agent", f"--host={name}", "--listen=127.0.0.1:1", "--ca=x", "--cert=x"]
            main([*words, "--key=x", f"--state-dir={self.agents / name / 'state'}", "--stop"])


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def pool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Pool]:
    made = Pool(tmp_path, capsys)
    yield made
    made.close()


def test_a_pool_is_created_seen_grown_mended_and_destroyed(pool: Pool) -> None:
    told = pool.run("apply", "--check")
    assert told["changed"]
    assert not pool.processes()
    assert not (pool.project / ".terraform").exists()

    done = pool.run("apply")
    assert done["diff"] == told["diff"]
    assert [host["name"] for host in done["hosts"]] == ["edge-a", "edge-b", "edge-c", "edge-d"]
    assert len(pool.processes()) == 4
    assert not pool.run("apply")["changed"]

    graph = pool.ansible("inventory", "-i", str(pool.inventory()), "--graph").stdout
    for line in ("@foreshadow_pool:", "@edge:", "@zone_north:", "@zone_south:", "@driver_agent:"):
        assert line in graph, graph
    assert graph.count("edge-d") == 4

    # A process that died is no drift for Terraform: its identity does not answer.
    psutil.Process(pool.pid("edge-b")).kill()
    others = {name: pool.pid(name) for name in ("edge-a", "edge-c", "edge-d")}
    mended = pool.run("apply")
    assert list(mended["diff"]["after"]) == ['module.pool.terraform_data.agent["edge-b"]']
    assert {name: pool.pid(name) for name in others} == others
    assert len(pool.processes()) == 4

    pool.add("edge-e", "south")
    assert len(pool.run("apply")["hosts"]) == 5
    assert {name: pool.pid(name) for name in others} == others

    state = pool.folder / "saved.tfstate"
    shutil.copy(pool.project / "terraform.tfstate", state)
    pool.run("destroy", "--check")
    assert len(pool.processes()) == 5
    assert pool.run("destroy")["changed"]
    assert pool.processes() == []
    assert not pool.run("destroy")["changed"]
    assert pool.run("show") == {"hosts": []}
    # What was saved of it can still be read.
    file = pool.inventory(project_path=[], state_file=["saved.tfstate"])
    assert "edge-e" in pool.ansible("inventory", "-i", str(file), "--list").stdout


def test_a_failed_apply_is_survived(pool: Pool) -> None:
    import socket

    for name in ("edge-c", "edge-d"):
        del pool.hosts[name]
    with socket.create_server((pool.hosts["edge-b"]["address"], 7443)):
        said = pool.run("apply", fails=True)
        assert f"cannot listen at {pool.hosts['edge-b']['address']}:7443: pid {os.getpid()}" in said
    assert len(said.splitlines()) == 1
    # The one that stands is known and untouched, and the next apply makes what is missing.
    before = pool.pid("edge-a")
    assert "edge-a" in {host["name"] for host in pool.run("show")["hosts"]}
    assert pool.run("apply")["changed"]
    assert pool.pid("edge-a") == before
    assert len(pool.processes()) == 2
    pool.run("destroy")
    assert pool.processes() == []


def test_the_role_creates_is_idempotent_and_destroys(pool: Pool) -> None:
    for name in ("edge-c", "edge-d"):
        del pool.hosts[name]
    connection = {f"foreshadow_{name}": value for name, value in pool.certificate.items()}
    connection["foreshadow_ledger"] = f"sqlite:///{pool.folder}/ledger.db"

    def role(*options: str, **variables: Any) -> str:
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "roles": ["foreshadow.core.terraform_pool"],
            "vars": {
                "ansible_python_interpreter": sys.executable,
                "terraform_pool_project": str(pool.project),
                "terraform_pool_variables": pool.variables,
                **connection,
                **variables,
            },
        }
        file = pool.folder / "play.yml"
        file.write_text(yaml.safe_dump([play]))
        words = ["playbook", "-i", str(pool.inventory()), str(file), *options]
        ran = pool.ansible(*words)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    assert "changed=1" in role("--check")
    assert not pool.processes()
    assert "changed=1" in role()
    assert len(pool.processes()) == 2
    assert "changed=0" in role()
    assert "changed=1" in role(terraform_pool_state="absent")
    assert pool.processes() == []
    assert "changed=0" in role(terraform_pool_state="absent")


def test_workspaces_and_the_cache(pool: Pool) -> None:
    project = pool.folder / "plain"
    project.mkdir()
    (project / "main.tf").write_text(
        'output "web" { value = { a = "192.0.2.1", in = terraform.workspace } }\n'
    )
    pool.project, pool.certificate = project, {}
    (project / "variables.tf").write_text(
        "".join(f'variable "{name}" {{ default = null }}\n' for name in pool.variables)
    )
    pool.run("apply", "--workspace=staging", "--output=web", "--query=`[]`")
    options: dict[str, Any] = {
        "project_path": [str(project)],
        "workspace": ["staging"],
        "output": "",
        "query": "[{name: web.in, address: web.a}]",
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(pool.folder / "cache"),
    }
    listed = ["inventory", "--list", "-i"]
    assert "192.0.2.1" in pool.ansible(*listed, str(pool.inventory(**options))).stdout
    # From the cache now: there is no Terraform any more.
    without = options | {"terraform": "no-terraform"}
    assert "192.0.2.1" in pool.ansible(*listed, str(pool.inventory(**without))).stdout
    unknown = pool.inventory(**options | {"workspace": ["stagging"], "cache": False})
    assert "did you mean staging?" in pool.ansible(*listed, str(unknown)).stderr


@pytest.mark.parametrize("what", ["fmt", "validate", "test"])
def test_the_modules_are_formatted_valid_and_tested(pool: Pool, what: str) -> None:
    module = pool.folder / "terraform" / "modules" / "local_host_pool"
    words = {"fmt": ["fmt", "-recursive", "-check", "../.."]}.get(what, [what])
    assert TERRAFORM is not None
    for command in (["init", "-input=false"], words):
        ran = subprocess.run(
            [TERRAFORM, *command, "-no-color"][: None if command[0] != "fmt" else -1],
            cwd=module, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
