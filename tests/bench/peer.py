"""The peer of a switchover: the same switch as a playbook of community modules."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.pair import Pair, running_pair
from tests.support.peer import peer_programs
from tests.support.terraform import MissingError

PLAYBOOK = Path(__file__).with_name("peer_switch.yml")


def ansible_playbook() -> Path | None:
    """Return the peer's ``ansible-playbook``; ``None``, with the reason told, without an index."""
    try:
        return peer_programs() / "ansible-playbook"
    except MissingError as missing:
        print(f"{missing}: there is no peer to compare with")
        return None


def defaults(folder: Path) -> dict[str, str]:
    """Return an environment in which Ansible finds nothing but its defaults.

    Python keeps what it has compiled, as it does for whatever pip installs: a checkout has nothing
    compiled yet, and would be compiled anew in every round.
    """
    empty = folder / "ansible.cfg"
    empty.touch()
    known = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**known, "ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONFIG": str(empty)}  # fmt: skip


@dataclass
class Peer:
    """Two services, a pair of HAProxy before them, and the playbook.

    :ivar here: the host that has the traffic.
    """

    program: Path
    pair: Pair
    folder: Path
    here: str = "edge-a"

    @property
    def there(self) -> str:
        """Return the other host."""
        return "edge-b" if self.here == "edge-a" else "edge-a"

    @property
    def sleeper(self) -> int:
        """Return the pid of the shadow."""
        return self.pair.services[self.there].process.pid

    def command(self) -> list[str]:
        """Return the command that moves all traffic to the other host."""
        inventory = self.folder / "inventory.json"
        local = {"ansible_connection": "local", "ansible_python_interpreter": str(self._python)}
        balancers = {
            name: {"socket": str(haproxy.socket), "front": front}
            for (name, haproxy), front in zip(
                self.pair.haproxies.items(), self.pair.fronts, strict=True
            )
        }
        roles = {"primary": self._facts(self.here), "shadow": self._facts(self.there)}
        inventory.write_text(
            json.dumps({
                "all": {
                    "hosts": {"localhost": {}},
                    "vars": {**local, **roles},
                    "children": {"loadbalancers": {"hosts": balancers}},
                }
            })
        )  # fmt: skip
        return [str(self.program), "-i", str(inventory), str(PLAYBOOK)]

    def environment(self) -> dict[str, str]:
        """Return the environment of the command."""
        return {**defaults(self.folder), "ANSIBLE_COLLECTIONS_PATH": str(self.folder)}

    @property
    def _python(self) -> Path:
        return self.program.with_name("python")

    def _facts(self, host: str) -> dict[str, object]:
        service = self.pair.services[host]
        address, _, port = service.where.rpartition(":")
        state = self.folder / host
        state.mkdir(exist_ok=True)
        return {"name": host, "pid": service.process.pid, "address": address, "port": int(port),
                "state": str(state)}  # fmt: skip


@contextmanager
def running_peer(program: Path) -> Iterator[Peer]:
    """Run the peer's world until the end of the block: the first host has the traffic."""
    with tempfile.TemporaryDirectory(prefix="fs-peer-") as folder, running_pair() as pair:
        peer = Peer(program, pair, Path(folder))
        (Path(folder) / "edge-a").mkdir()
        (Path(folder) / "edge-a" / "settings").write_text("first")
        try:
            os.kill(peer.sleeper, signal.SIGSTOP)
            yield peer
        finally:
            for service in pair.services.values():
                service.thaw()
