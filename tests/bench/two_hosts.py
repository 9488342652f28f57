"""Two hosts on one machine: network namespaces, and a link between them that counts its bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEAR, FAR = "10.77.0.1", "10.77.0.2"
"""Addresses of this process's end of the link, and of the other one."""

_ETHERNET = 14
"""Bytes that a link of this kind counts for each packet besides those of IP."""
_INSIDE = "FORESHADOW_BENCH_NAMESPACE"


def enter() -> None:
    """Begin this program anew in a network of its own; come back at once when it is in one."""
    if _INSIDE in os.environ:
        return
    os.environ[_INSIDE] = "1"
    how = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    # The original arguments have `-m` and the module's name.
    os.execvp("unshare", ["unshare", *how, sys.executable, *sys.orig_argv[1:]])


class Link:
    """The link, and the namespace at its other end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def there(self, command: list[str]) -> list[str]:
        """Return a command that runs at the other end."""
        return ["nsenter", f"--target={self._pid}", "--net", "--", *command]

    def traffic(self) -> int:
        """Return the bytes of all packets so far, both ways, IP headers included."""
        rows = Path("/proc/net/dev").read_text().splitlines()
        (row,) = [row for row in rows if row.strip().startswith("near:")]
        numbers = [int(number) for number in row.split(":")[1].split()]
        return numbers[0] + numbers[8] - _ETHERNET * (numbers[1] + numbers[9])


@contextmanager
def link() -> Iterator[Link]:
    """Make the other namespace and the link to it."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        _until_apart(holder.pid)
        made = Link(holder.pid)
        _run("ip link set lo up")
        _run(f"ip link add near type veth peer name far netns {holder.pid}")
        for name, address in (("near", NEAR), ("far", FAR)):
            prefix = made.there([]) if name == "far" else []
            # What the kernel says by itself on a new link is none of our bytes.
            _run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1", prefix)
            _run(f"ip addr add {address}/24 dev {name}", prefix)
            _run(f"ip link set {name} up", prefix)
            _run("ip link set lo up", prefix)
        macs = {
            name: _mac(prefix, name) for name, prefix in (("near", []), ("far", made.there([])))
        }
        _run(f"ip neigh replace {FAR} lladdr {macs['far']} dev near nud permanent")
        _run(f"ip neigh replace {NEAR} lladdr {macs['near']} dev far nud permanent", made.there([]))
        yield made
    finally:
        holder.kill()
        holder.wait()


def _mac(prefix: list[str], name: str) -> str:
    command = [*prefix, "ip", "-o", "link", "show", name]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return words[words.index("link/ether") + 1]


def _until_apart(pid: int) -> None:
    own = Path("/proc/self/ns/net").stat().st_ino
    while Path(f"/proc/{pid}/ns/net").stat().st_ino == own:
        os.sched_yield()


def _run(command: str, prefix: list[str] | None = None) -> None:
    subprocess.run([*(prefix or []), *command.split()], check=True)
