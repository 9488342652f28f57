"""A module gives the same in the worker of its playbook as in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.modules import COLLECTIONS

pytestmark = pytest.mark.timeout(600)  # some twenty tasks, half of them in processes of their own

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
SECRET = "hunter2-of-the-tests"

HOST = {"name": "edge-a", "address": "192.0.2.11", "capacity": {"cpu": 4}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "told": ("host", {"hosts": [HOST]}),
    "read": ("ledger_info", {}),
    "refused": ("host", {"hosts": [{"name": "edge a", "address": "192.0.2.11"}]}),
    "no such option": ("host", {"hosts": [HOST], "nonsense": 1}),
    "no such choice": ("host", {"hosts": [HOST], "state": "asleep"}),
    "option missing": ("host", {}),
    "options at odds": ("switchover", {"to": "edge-b"}),
    "no such resource": ("switchover", {"resource": "checkout", "to": "edge-b"}),
    "secret": ("resource", {"resources": [{"name": "a", "directors": [{"token": SECRET}]}]}),
}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "its own environment": {"environment": {"ANYTHING": "1"}},
    "another python": {"vars": {"ansible_python_interpreter": f"{PLAYBOOK.parent}/python3"}},
    "a time limit": {"timeout": 60},
    "in the background": {"async": 60, "poll": 1},
}


class Plays:
    """Runs tasks on this machine as a person would, and keeps what they gave and said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "ansible.cfg").touch()
        self.ledger = f"sqlite:///{folder}/ledger.db"

    def run(self, tasks: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        """Run tasks in check mode; return the result of each, and all that was said."""
        results = self._folder / "results.json"
        named = [{"register": f"got_{number}", "ignore_errors": True, "check_mode": True, **task}
                 for number, task in enumerate(tasks)]  # fmt: skip
        got = "[" + ", ".join(f"got_{number}" for number in range(len(tasks))) + "]"
        keep = {"ansible.builtin.copy": {"content": f"{{{{ {got} | to_json }}}}",
                                         "dest": str(results)}}  # fmt: skip
        defaults = {"group/foreshadow.core.all": {"ledger": self.ledger}}
        # Ansible looks for what runs in the background in a user's home, wherever HOME leads.
        variables = {"ansible_async_dir": str(self._folder / "async")}
        play = {"hosts": "localhost", "gather_facts": False, "module_defaults": defaults,
                "vars": variables, "tasks": [*named, keep]}  # fmt: skip
        playbook = self._folder / "play.yml"
        playbook.write_text(yaml.safe_dump([play]))
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                       "ANSIBLE_CONFIG": str(self._folder / "ansible.cfg"),
                       "ANSIBLE_NOCOLOR": "1"}  # fmt: skip
        command = [str(PLAYBOOK), str(playbook), "-vvv"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(results.read_text()), done.stdout


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Plays:
    return Plays(tmp_path_factory.mktemp("plays"))


def task(case: str, **keywords: Any) -> dict[str, Any]:
    module, options = CASES[case]
    return {"name": case, f"foreshadow.core.{module}": options, **keywords}


def commands(said: str, case: str) -> int:
    """Return how many commands Ansible has run for a task."""
    _, _, after = said.partition(f"TASK [{case}]")
    return after.partition("\nTASK [")[0].count(" EXEC ")


def test_a_result_is_the_same_in_both_places(plays: Plays) -> None:
    here, said = plays.run([task(case) for case in CASES])
    there, _ = plays.run([task(case, **ELSEWHERE["its own environment"]) for case in CASES])
    for case, mine, other in zip(CASES, here, there, strict=True):
        assert mine == other, case
        assert commands(said, case) == 0, f"{case} has run in a process of its own"
    given = dict(zip(CASES, here, strict=True))
    assert given["told"]["changed"]
    assert given["read"]["changed"] is False
    failed = set(CASES) - {"told", "read"}
    assert {case for case in CASES if given[case]["failed"]} == failed


def test_a_secret_is_told_nowhere(plays: Plays) -> None:
    (got,), said = plays.run([task("secret")])
    assert got["failed"]
    # The playbook that holds it may be shown by Ansible; a result never does.
    assert SECRET not in json.dumps(got)
    assert SECRET not in said


def test_what_a_process_needs_gets_one(plays: Plays) -> None:
    ways = {way: {**task("told", **ELSEWHERE[way]), "name": way} for way in ELSEWHERE}
    ways["in the background"]["check_mode"] = False  # Ansible has no check mode there
    got, said = plays.run(list(ways.values()))
    for way, result in zip(ways, got, strict=True):
        assert not result.get("failed"), result
        assert commands(said, way) > 0, f"{way} has run within the playbook"


def test_a_worker_that_inherited_connections_leaves_them_alone(plays: Plays) -> None:
    plays.run([{**task("told"), "check_mode": False}])
    looked = "{{ query('foreshadow.core.forecast', []) }}"
    looped = {**task("read"), "loop": [1, 2]}
    asked = {**task("read"), "name": "after a lookup", "vars": {"nothing": looked},
             "when": "nothing == []"}  # fmt: skip
    (loop, lookup), said = plays.run([looped, asked])
    assert [one["failed"] for one in loop["results"]] == [False, False]
    assert commands(said, "read") == 0
    assert not lookup["failed"]
    assert commands(said, "after a lookup") > 0
