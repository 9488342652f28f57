"""What a person can get wrong: one line that names the thing and the way out, nothing half done.

Every case goes through a module, in check mode and for real. Afterwards the ledger, the agents, the
processes and both load balancers are compared with what they were, row by row.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic

from foreshadow.domain.clock import WallTime
from foreshadow.domain.spec import merged
from foreshadow.wire import pki
from tests.integration.bad_specs import NOT_A_NAME, SECRET, SPECS, director, service
from tests.support.agents import instances, loopback
from tests.support.evidence import evidence
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.modules import COLLECTIONS, Modules

A, B, C, SILENT = "edge-a", "edge-b", "edge-c", "edge-x"
OTHER = "other"

Options = Mapping[str, Any]


@dataclass
class World:
    """The fleet with one resource: its primary on A, a warm shadow on B, none on C."""

    fleet: Fleet
    modules: Modules
    folder: Path

    @property
    def connection(self) -> dict[str, str]:
        known = self.fleet.connection
        return {
            "ledger": str(known.ledger),
            "ca": str(known.ca),
            "cert": str(known.cert),
            "key": str(known.key),
        }

    def seen(self) -> dict[str, Any]:
        """Return everything that a failed call could have left half done."""
        return {**evidence(self.fleet), "files": sorted(self.folder.iterdir())}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_fleet(
        tmp_path_factory.mktemp("fleet"),
        (A, B, C),
        shadows={"count": 1, "mode": "warm"},
        policy={"cooldown": 0, "drill_max_age": None},
    ) as fleet:
        world = World(fleet, Modules(), tmp_path_factory.mktemp("files"))
        world.modules = Modules(**world.connection, timeout="5")
        gone = [{"resource": NAME, "host": C}]
        world.modules.ok("shadow_instance", instances=gone, state="absent")
        world.modules.ok("host", hosts=[{"name": SILENT, "address": loopback()}])
        yield world


def refused(world: World, module: str, options: Options, *words: str, check: bool = True) -> str:
    """Run a module that has to fail, and change nothing by it; return what it said.

    :param words: what the line has to name: the thing, and the way out.
    :param check: whether it can be told in check mode too.
    """
    before = world.seen()
    said: set[str] = set()
    for checking in (True, False) if check else (False,):
        result = world.modules.run(module, check=checking, **options)
        assert result.get("failed"), f"not refused: {result}"
        said.add(result["msg"])
        assert "exception" not in result
        assert result["invocation"]
        assert SECRET not in json.dumps(result)
    assert len(said) == 1, "check mode says something else"
    (line,) = said
    assert "\n" not in line
    for word in words:
        assert word in line, line
    assert world.seen() == before
    return line


def test_a_refused_secret_is_not_in_the_system_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.AnsibleModule, "_log_to_syslog", lambda _, text: logged.append(text))
    refused(world, "resource", {"resources": [{"name": "x", "token": SECRET}]}, "x")
    assert any("resources=" in line for line in logged)
    assert SECRET not in "".join(logged)


Case = tuple[str, Options, tuple[str, ...]]

TO = {"resource": NAME, "to": B}
NO_RESOURCE = ("unknown resource chekout", "did you mean checkout?")
NO_HOST = ("unknown host edge-q", "did you mean edge-")
PERCENTAGES = (f"resource {NAME}, weights", "give whole percentages by host that sum to 100")
WEIGHTS = {"load_similarity": 0, "network_proximity": 0, "availability": 0}


def on(host: object, **more: Any) -> dict[str, Any]:
    return {"instances": [{"resource": NAME, "host": host, **more}]}


NAMES: dict[str, Case] = {
    "sync": ("state_sync", {"resource": "chekout"}, NO_RESOURCE),
    "switchover": ("switchover", {"resource": "chekout", "to": B}, NO_RESOURCE),
    "recover": ("switchover", {"resource": "chekout", "state": "recovered"}, NO_RESOURCE),
    "traffic": ("traffic_switch", {"resource": "chekout", "weights": {A: 100}}, NO_RESOURCE),
    "control": ("control", {"state": "paused", "resource": "chekout"}, NO_RESOURCE),
    "placement": ("placement", {"resources": ["chekout"]}, NO_RESOURCE),
    "feedback": ("feedback", {"resources": ["chekout"]}, NO_RESOURCE),
    "ledger_info": ("ledger_info", {"resource": "chekout"}, NO_RESOURCE),
    "report": ("report", {"resources": ["chekout"], "dest": "/tmp/never.html"}, NO_RESOURCE),
    "shadow": (
        "shadow_instance", {"instances": [{"resource": "chekout", "host": B}]}, NO_RESOURCE
    ),
    "empty": ("state_sync", {"resource": ""}, ("unknown resource ''", "known: checkout")),
    "newline": ("state_sync", {"resource": "a\nb"}, (r"unknown resource 'a\nb'", "known:")),
    "oversized": ("state_sync", {"resource": "x" * 5000}, ("unknown resource 'xxx", "known:")),
    "traversal": ("state_sync", {"resource": "../../etc"}, ("unknown resource ../../etc",)),
    "host of a switchover": ("switchover", {**TO, "to": "edge-q"}, NO_HOST),
    "host of traffic": ("traffic_switch", {"resource": NAME, "weights": {"edge-q": 100}}, NO_HOST),
    "host without traffic": (
        "traffic_switch", {"resource": NAME, "weights": {A: 100, "edge-q": 0}}, NO_HOST
    ),
    "host of a shadow": ("shadow_instance", on("edge-q"), NO_HOST),
    "host of a sync": (
        "state_sync",
        {"resource": NAME, "hosts": ["edge-q"]},
        (f"resource {NAME}: has no shadow on host edge-q", f"its shadows are on {B}"),
    ),
    "plan": ("switchover", {"resource": NAME, "plan_id": "nope"}, ("unknown plan nope",)),
    "plan to approve": ("control", {"state": "approved", "plan_id": "nope"}, ("unknown plan",)),
    "decision": ("switchover", {"resource": NAME, "decision_id": "no"}, ("unknown decision no",)),
    "switchover to reverse": (
        "switchover",
        {"resource": NAME, "switchover_id": "no", "state": "reversed"},
        ("unknown switchover no",),
    ),
}  # fmt: skip

MOVES: dict[str, Case] = {
    "no shadow": (
        "switchover", {**TO, "to": C},
        (f"resource {NAME}: {C} has no instance of {NAME}", "create one with shadow_instance"),
    ),
    "no agent": (
        "switchover", {**TO, "to": SILENT},
        (f"{SILENT} does not answer", "no agent answers at", "start it with"),
    ),
    "a load balancer": (
        "switchover", {**TO, "to": "lb-1"}, ("host lb-1: is a load balancer's host", "move")
    ),
    "nowhere": ("switchover", {"resource": NAME}, ("missing: to, plan_id, decision_id",)),
    "a dead drill": (
        "switchover", {**TO, "drill": True, "failover": True}, (NAME, "give drill alone")
    ),
    "too little": ("traffic_switch", {"resource": NAME, "weights": {A: 90}}, PERCENTAGES),
    "too much": ("traffic_switch", {"resource": NAME, "weights": {A: 100, B: 100}}, PERCENTAGES),
    "negative": ("traffic_switch", {"resource": NAME, "weights": {A: -10, B: 110}}, PERCENTAGES),
    "oversized": (
        "traffic_switch", {"resource": NAME, "weights": {A: 10**30}}, PERCENTAGES
    ),
    "fractions": ("traffic_switch", {"resource": NAME, "weights": {A: 33.3, B: 66.7}}, PERCENTAGES),
    "words": ("traffic_switch", {"resource": NAME, "weights": {A: "all"}}, PERCENTAGES),
    "nothing": ("traffic_switch", {"resource": NAME, "weights": {}}, PERCENTAGES),
    "no instance": (
        "traffic_switch", {"resource": NAME, "weights": {A: 50, C: 50}},
        (f"resource {NAME}: unknown instance on host {C}", f"did you mean {B}?"),
    ),
    "a frozen one": (
        "traffic_switch", {"resource": NAME, "weights": {A: 50, B: 50}},
        (f"the instance on {B} is frozen", "make it hot with shadow_instance"),
    ),
    "no patience": (
        "traffic_switch", {"resource": NAME, "weights": {A: 100}, "wait": "nan"},
        (f"resource {NAME}, wait", "give 0 or more"),
    ),
}  # fmt: skip

SHADOWS: dict[str, Case] = {
    "mode": ("shadow_instance", on(C, mode="lukewarm"), (f"{NAME}@{C}, mode", "'warm' or 'hot'")),
    "key": ("shadow_instance", on(C, mod="warm"), (f"{NAME}@{C}, mod", "did you mean mode?")),
    "no host": ("shadow_instance", {"instances": [{"resource": NAME}]}, (", host: is required",)),
    "traversal": ("shadow_instance", on("../etc"), NOT_A_NAME),
    "newline": ("shadow_instance", on("edge-b\n"), NOT_A_NAME),
    "number": ("shadow_instance", on(3), (f"{NAME}@3, host", "valid string")),
    "twice": (
        "shadow_instance", {"instances": on(C)["instances"] * 2},
        (f"{NAME}@{C}: is asked for twice", "name it once"),
    ),
    "a load balancer": (
        "shadow_instance", on("lb-1"), ("host lb-1: is a load balancer's host", "choose another")
    ),
    "no agent": (
        "shadow_instance", on(SILENT), (f"host {SILENT}: no agent answers", "start it with")
    ),
    "one of two": (
        "shadow_instance",
        {"instances": [*on(C)["instances"], *on(SILENT)["instances"]]},
        (f"host {SILENT}: no agent answers",),
    ),
    "the primary with shadows": (
        "shadow_instance", {**on(A), "state": "absent"},
        (f"{NAME}@{A}: is the primary", "remove those too, or switch over"),
    ),
    "the primary as a shadow": (
        "state_sync", {"resource": NAME, "hosts": [A]}, (f"no shadow on host {A}", "its shadows")
    ),
}  # fmt: skip

NUMBERS: dict[str, Case] = {
    "unknown weight": ("placement", {"weights": {"load": 1}}, ("unknown term load", "known terms")),
    "negative weight": (
        "placement", {"weights": {"availability": -1}}, ("availability cannot weigh -1", "write")
    ),
    "weight in words": (
        "placement", {"weights": {"availability": "lots"}}, ("availability cannot weigh lots",)
    ),
    "no weight": ("placement", {"weights": WEIGHTS}, ("no term weighs anything", "give one")),
    "no places": ("placement", {"top": 0}, ("top 0 is less than 1", "ask for 1 or more")),
    "unknown pin": (
        "control", {"state": "pinned", "resource": NAME, "weights": {"load": 1}},
        ("control, weights, load", "known keys"),
    ),
    "endless pin": (
        "control", {"state": "pinned", "resource": NAME, "weights": {"availability": "inf"}},
        ("control, weights, availability", "finite"),
    ),
    "pause with weights": (
        "control", {"state": "paused", "weights": {"availability": 1}}, ("leave them out",)
    ),
    "window": ("feedback", {"window": "soon"}, ("feedback, window: 'soon'", "write 250ms")),
    "negative window": ("feedback", {"window": "-30m"}, ("feedback, window: '-30m'", "write")),
    "time": ("ledger_info", {"since": "yesterday"}, ("'yesterday' is not a time", "write 2026")),
    "limit": ("ledger_info", {"limit": 0}, ("limit 0 is less than 1", "ask for 1 or more")),
    "subset": ("ledger_info", {"subset": ["resource"]}, ("subset must be", "resources, hosts")),
    "folder of a report": ("report", {"dest": "/nowhere/r.html"}, ("/nowhere", "create it")),
    "report on a folder": ("report", {"dest": "/tmp"}, ("/tmp is a folder", "name a file in it")),
    "time of a report": (
        "report", {"dest": "/tmp/never.html", "since": "soon"}, ("'soon' is not a time", "write")
    ),
    "clients of a report": (
        "report", {"dest": "/tmp/never.html", "clients": "/nowhere.json"},
        ("clients file /nowhere.json", "name a file"),
    ),
}  # fmt: skip


def host_(name: object = "edge-n", address: object = "192.0.2.1", **more: Any) -> dict[str, Any]:
    return {"hosts": [{"name": name, "address": address, **more}]}


HOSTS: dict[str, Case] = {
    "no address": ("host", {"hosts": [{"name": "edge-n"}]}, ("edge-n, address: is required",)),
    "key": ("host", host_(adress="x"), ("edge-n, adress: unknown key", "did you mean address?")),
    "traversal": ("host", host_("../edge"), NOT_A_NAME),
    "newline": ("host", host_("edge\n"), NOT_A_NAME),
    "oversized": ("host", host_("h" * 64), NOT_A_NAME),
    "port": ("host", host_(port=99999), ("edge-n, port", "less than or equal to 65535")),
    "port in words": ("host", host_(port="https"), ("edge-n, port", "valid integer")),
    "port in the address": (
        "host", host_(address="192.0.2.1:7443"), ("'192.0.2.1:7443' is no address", "as port")
    ),
    "address in words": ("host", host_(address="a b\nc"), ("is no address", "write an IP")),
    "negative capacity": ("host", host_(capacity={"cpu": -1}), ("capacity.cpu", "than 0")),
    "endless capacity": ("host", host_(capacity={"cpu": float("inf")}), ("cpu", "finite")),
    "unit": ("host", host_(capacity={"memory": "8 parsecs"}), ("8 parsecs", "write 512MiB")),
    "capacity as a list": ("host", host_(capacity=[1]), ("capacity: must be a mapping", "write")),
    "driver": ("host", host_(driver="agnet"), ("unknown kind agnet", "did you mean agent?")),
    "secret": (
        "host", host_(labels={"password": SECRET}), ("labels.password: looks like a secret", "name")
    ),
    "twice": ("host", {"hosts": host_()["hosts"] * 2}, ("edge-n: is given more than once",)),
    "one of two": (
        "host", {"hosts": [*host_()["hosts"], {"name": "edge-m"}]}, ("edge-m, address", "add it")
    ),
    "one in use": ("host", {**host_(A), "state": "absent"}, (f"host {A}: still carries", "remove")),
    "a load balancer in use": (
        "host", {**host_("lb-1"), "state": "absent"},
        (f"host lb-1: directs the traffic of {NAME}", f"the directors of {NAME}"),
    ),
    "a load balancer with instances": (
        "host", host_(A, relay=True), (f"host {A}: carries instances of {NAME}", "leave relay out")
    ),
    "without a name": ("host", {"hosts": [{"nam": A}], "state": "absent"}, ("has no name", "add")),
}  # fmt: skip

OPENED = f"postgresql://u:{SECRET}@127.0.0.1:1/x"
CONNECTIONS: dict[str, tuple[Callable[[World], Options], tuple[str, ...]]] = {
    "no ledger": (lambda w: {"ledger": ""}, ("no ledger is named", "FORESHADOW_LEDGER")),
    "missing ledger": (
        lambda w: {"ledger": "sqlite:////nowhere/l.db"}, ("/nowhere is not there", "mkdir -p"),
    ),
    "a path": (lambda w: {"ledger": "/var/l.db"}, ("its URL cannot be read", "write one such as")),
    "another database": (
        lambda w: {"ledger": f"mysql://u:{SECRET}@h/x"}, ("kept in mysql", "use sqlite or"),
    ),
    "another driver": (
        lambda w: {"ledger": "sqlite+aiosqlite:////tmp/x.db"}, ("kept in sqlite+aiosqlite", "use"),
    ),
    "options of SQLite": (lambda w: {"ledger": "sqlite:////tmp/x.db?a=b"}, ("leave out",)),
    "a port in words": (
        lambda w: {"ledger": f"postgresql://u:{SECRET}@h:port/x"}, ("its URL cannot be read",),
    ),
    "no server": (lambda w: {"ledger": OPENED}, ("ledger", ";")),
    "memory": (lambda w: {"ledger": "sqlite://"}, ("would forget everything", "name a file")),
    "no database": (lambda w: {"ledger": f"sqlite:///{w.folder}/junk"}, ("not a database", "look")),
    "missing key": (lambda w: {"key": "/nowhere"}, ("option key", "/nowhere", "foreshadow pki")),
    "key not named": (lambda w: {"key": ""}, ("option key: is not set", "FORESHADOW_KEY")),
    "unreadable key": (
        lambda w: {"key": f"{w.folder}/junk"}, ("junk: is not a private key", "foreshadow pki"),
    ),
    "no certificates": (
        lambda w: {"ca": "", "cert": "", "key": ""}, (f"host {A}", "set ca, cert and key"),
    ),
    "certificate of an agent": (
        lambda w: {
            "cert": str(w.fleet.agents.credentials_of(B).cert),
            "key": str(w.fleet.agents.credentials_of(B).key),
        },
        (f"agent {B} may not call", "use the certificate of a controller"),
    ),
    "certificate of another authority": (
        lambda w: {
            "ca": f"{w.folder}/pki/ca.pem",
            "cert": f"{w.folder}/pki/controller-ops.pem",
            "key": f"{w.folder}/pki/controller-ops.key",
        },
        (f"host {A}", "does not prove to be the agent", "from the authority"),
    ),
    "certificate that another authority issued": (
        lambda w: {
            "cert": f"{w.folder}/pki/controller-ops.pem",
            "key": f"{w.folder}/pki/controller-ops.key",
        },
        ("was not issued by the authority", "foreshadow pki issue"),
    ),
    "key of another certificate": (
        lambda w: {"key": f"{w.folder}/pki/controller-ops.key"},
        ("does not belong to the key", "issued together"),
    ),
    "no time": (lambda w: {"timeout": "0"}, ("option timeout", "above 0")),
    "endless": (lambda w: {"timeout": "inf"}, ("option timeout", "above 0")),
    "no number": (lambda w: {"timeout": "nan"}, ("option timeout", "above 0")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        pytest.param(*case, id=f"{group}: {name}")
        for group, table in {
            "name": NAMES, "move": MOVES, "shadow": SHADOWS, "number": NUMBERS, "host": HOSTS
        }.items()
        for name, case in table.items()
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_way_out(
    world: World, module: str, options: Options, words: tuple[str, ...]
) -> None:
    refused(world, module, options, *words)


@pytest.mark.parametrize(("changes", "words"), SPECS.values(), ids=list(SPECS))
def test_a_malformed_spec_is_refused(
    world: World, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    good = {"name": "third", "primary": A, "service": {"command": ["serve"], "port": 8082}}
    bad = merged({**world.fleet.spec.plain(), "name": OTHER}, changes)
    refused(world, "resource", {"resources": [good, bad]}, *words)


@pytest.mark.parametrize(("options", "words"), CONNECTIONS.values(), ids=list(CONNECTIONS))
def test_a_wrong_connection_is_told(
    world: World, options: Callable[[World], Options], words: tuple[str, ...]
) -> None:
    junk = world.folder / "junk"
    if not junk.exists():
        junk.write_text("junk " * 400)
        pki.init_authority(world.folder / "pki")
        pki.issue(world.folder / "pki", "ops", "controller")
    refused(world, "state_sync", {"resource": NAME, **options(world)}, *words)


@pytest.fixture
def other(world: World) -> Iterator[Callable[..., dict[str, Any]]]:
    """Register a second resource, and forget it again; whatever is left of it is an error."""

    def register(**changes: Any) -> dict[str, Any]:
        plain = merged({**world.fleet.spec.plain(), "name": OTHER}, service(port=8081))
        world.modules.ok("resource", resources=[merged(plain, changes)])
        return {"instances": [{"resource": OTHER, "host": C}]}

    yield register
    world.modules.ok("resource", resources=[{"name": OTHER}], state="absent")
    assert not list(world.fleet.agents.folder.glob(f"*/state/resources/{OTHER}"))


def taken_port(world: World, host: str) -> AbstractContextManager[Any]:
    return socket.create_server((world.fleet.agents.hosts[host].address, 8081))


def test_a_service_that_cannot_start_leaves_nothing(
    world: World, other: Callable[..., dict[str, Any]]
) -> None:
    def told(changes: dict[str, Any], *words: str) -> None:
        options = other(service=changes)
        where = f"resource {OTHER} on host {A}"
        refused(world, "shadow_instance", options, where, *words, check=False)

    told(
        {"command": ["/nowhere/serve", "--port", "{port}"]},
        "there is no command /nowhere/serve",
        "install it with the deploy role, or correct",
    )
    told(
        {"command": ["sh", "-c", "echo gone >&2; exit 3"]},
        "its command ended with status 3",
        "gone",
        "correct the command",
    )
    told(
        {"health": {"path": "/nope", "start_timeout": "2s"}},
        "did not pass its health check within 2s",
        "404",
        "correct service.health",
    )
    with taken_port(world, A):
        # The first primary may run already: whoever has its port is asked, and is not it.
        words = ("does not pass its health check", "stop that process if it is another service")
        told({}, f"pid {os.getpid()} runs, but", *words)


def test_a_shadow_that_cannot_start_leaves_the_primary_alone(
    world: World, other: Callable[..., dict[str, Any]]
) -> None:
    primary = other(shadows={"mode": "warm"})["instances"]
    world.modules.ok("shadow_instance", instances=[{**primary[0], "host": A}])
    with taken_port(world, C):
        where = f"resource {OTHER} on host {C}"
        words = (where, "port 8081 of 127.", "is taken by", "stop that process")
        refused(world, "shadow_instance", {"instances": primary}, *words, check=False)
    gone = [{"resource": OTHER, "host": A}]
    world.modules.ok("shadow_instance", instances=gone, state="absent")
    for process in instances(world.fleet.agents.folder / A / "state" / "resources" / OTHER):
        os.kill(process.pid, 9)  # a primary that is let go runs on
    shutil.rmtree(world.fleet.agents.resource(A, OTHER))


def test_a_load_balancer_that_cannot_be_used_is_told(
    world: World, other: Callable[..., dict[str, Any]]
) -> None:
    sockets = {name: str(haproxy.socket) for name, haproxy in world.fleet.haproxies.items()}
    good = [{"agent": name, "socket": path} for name, path in sockets.items()]
    haproxy = "HAProxy at"

    def told(changes: dict[str, Any], *words: str) -> None:
        other(**director(endpoints=good, backend=NAME) | director(**changes))
        options = {"resource": OTHER, "weights": {A: 100}}
        refused(world, "traffic_switch", options, *words)
        refused(world, "switchover", {"resource": OTHER, "to": C}, *words)

    unknown = {"endpoints": good, "backend": "nope"}
    told(unknown, haproxy, "has no backend nope", "name a backend of its configuration")
    strange = {"endpoints": [{"agent": "lb-1", "socket": "/nowhere.sock"}], "backend": NAME}
    told(
        strange, f"{haproxy} lb-1: the agent does not relay", "start the agent with --relay-socket"
    )
    silent = {"endpoints": [{"agent": SILENT, "socket": "/x"}], "backend": NAME}
    told(silent, f"{haproxy} {SILENT}: no agent answers", "start it with")
    with world.fleet.haproxies["lb-2"].freeze():
        frozen = {"endpoints": good[1:], "backend": NAME}
        other(**director(**frozen))
        result = world.modules.run("traffic_switch", resource=OTHER, weights={A: 100})
    assert f"{haproxy} lb-2" in result["msg"]
    assert "does not answer within 2s" in result["msg"]
    assert "look whether that process is frozen" in result["msg"]


def test_a_paused_resource_is_not_moved(world: World) -> None:
    world.modules.ok("control", state="paused", resource=NAME)
    said = "a person has paused the switching of checkout"
    words = (f"resource {NAME}", said, "resume it with control")
    refused(world, "switchover", TO, *words)
    world.modules.ok("control", state="resumed", resource=NAME)


def test_an_expired_plan_is_refused(world: World) -> None:
    made = world.modules.ok("switchover", resource=NAME, to=B, state="planned")
    planned = made["switchover"]["plan"]["id"]
    ledger = world.fleet.ledger
    ledger.put_plan(replace(ledger.plan(planned), expires_at=WallTime(1.0)))
    words = (f"plan {planned}", "expired", "plan again")
    refused(world, "switchover", {"resource": NAME, "plan_id": planned}, *words)
    refused(world, "control", {"state": "approved", "plan_id": planned}, *words)


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - block:
        - debug:
            msg: "{{ query('foreshadow.core.forecast', 'chekout') }}"
      rescue: &keep
        - set_fact:
            said: "{{ said | default([]) + [ansible_failed_result.msg | string] }}"
    - block:
        - debug:
            msg: "{{ query('foreshadow.core.forecast', horizon='soon') }}"
      rescue: *keep
    - block:
        - debug:
            msg: "{{ query('foreshadow.core.forecast', triggers={'utilisation': 0.5}) }}"
      rescue: *keep
    - block:
        - debug:
            msg: "{{ query('foreshadow.core.forecast', model='prohpet') }}"
      rescue: *keep
    - block:
        - debug:
            msg: "{{ query('foreshadow.core.forecast', at='noon') }}"
      rescue: *keep
    - block:
        - debug:
            msg: "{{ query('foreshadow.core.forecast', ledger='sqlite:////nowhere/l.db') }}"
      rescue: *keep
    - copy:
        content: "{{ said | to_json }}"
        dest: "{{ playbook_dir }}/said.json"
"""


def test_the_lookup_tells_it_too(world: World, tmp_path: Path) -> None:
    before = world.seen()
    (tmp_path / "play.yml").write_text(yaml.safe_dump(yaml.safe_load(PLAY)))
    variables = {f"foreshadow_{name}": value for name, value in world.connection.items()}
    variables["ansible_python_interpreter"] = sys.executable
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,"]
    subprocess.run(
        [*command, "-e", json.dumps(variables), str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        check=True,
        capture_output=True,
        timeout=60,
    )
    said = [" ".join(line.split()) for line in json.loads((tmp_path / "said.json").read_text())]
    wanted = [
        ("unknown resource chekout", "did you mean checkout?"),
        ("horizon", "'soon' is not a duration", "write 250ms"),
        ("utilisation", "unknown key", "did you mean utilization?"),
        ("unknown model prohpet", "use fleet or prophet"),
        ("'noon' is not a time", "write 2026"),
        ("/nowhere is not there", "create it"),
    ]
    assert len(said) == len(wanted), said
    for line, words in zip(said, wanted, strict=True):
        for word in words:
            assert word in line, line
    assert world.seen() == before
