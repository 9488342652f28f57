"""Real DNS servers on loopback: BIND or Knot with a secondary, and unbound as what clients ask."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode

from foreshadow.directors.rfc2136_options import Server
from tests.support.dns_world import KEY, NAME, SECRET, ZONE
from tests.support.haproxy import free_port, wait_until

HERE = "127.0.0.1"
KINDS = {"bind": "named", "knot": "knotd", "powerdns": "pdns_server"}
RESOLVER = "unbound"
SCHEMA = Path("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql")


def missing(kind: str) -> str:
    """Return what a kind of servers lacks on this machine; empty when all is there."""
    lacking = [name for name in (KINDS[kind], RESOLVER) if find(name) is None]
    if kind == "powerdns" and not SCHEMA.exists():
        lacking.append("pdns-backend-sqlite3")
    return ", ".join(lacking)


def find(program: str) -> str | None:
    """Return where a program is; daemons are often not on a user's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")


@dataclass
class Daemons:
    """Running servers of one zone."""

    primary: Server
    secondary: Server
    resolver: Server
    key_file: Path
    secondary_pid: int = 0

    def director(self) -> dict[str, Any]:
        """Return the options of a director of the record, without check and targets."""
        return {
            "zone": ZONE,
            "name": NAME,
            "server": str(self.primary),
            "servers": [str(self.secondary)],
            "resolvers": [str(self.resolver)],
            "key": {"name": KEY, "file": str(self.key_file)},
        }

    def kept(self) -> float:
        """Return the seconds for which whoever asks unbound now may keep its answer."""
        query = dns.message.make_query(NAME, "A")
        reply = dns.query.udp(query, self.resolver.address, 5, self.resolver.port)
        return max(float(answer.ttl) for answer in reply.answer)


@contextmanager
def running_daemons(
    folder: Path, kind: str, addresses: list[str], ttl: int, *, least_ttl: int = 0
) -> Iterator[Daemons]:
    """Run a primary and a secondary of a kind, and unbound, until the end of the block.

    :param addresses: what the record has at first.
    :param least_ttl: seconds for which unbound keeps any answer at least.
    """
    primary, secondary, resolver = (Server(HERE, free_port(HERE)) for _ in range(3))
    key_file = folder / "tsig.key"
    key_file.write_text(f'key "{KEY}" {{\n  algorithm hmac-sha256;\n  secret "{SECRET}";\n}};\n')
    with ExitStack() as stack:
        for role, server, other in (("1", primary, secondary), ("2", secondary, primary)):
            own = folder / f"{kind}{role}"
            (own / "db").mkdir(parents=True)
            if role == "1":
                (own / "zone.db").write_text(_zone(addresses, ttl))
            make = {"bind": _bind, "knot": _knot, "powerdns": _powerdns}[kind]
            command = make(own, server, other, key_file, primary=role == "1")
            pid = stack.enter_context(_running(command, own, server))
        command = _unbound(folder, resolver, least_ttl, primary, secondary)
        stack.enter_context(_running(command, folder, resolver))
        yield Daemons(primary, secondary, resolver, key_file, pid)


@contextmanager
def _running(command: list[str], folder: Path, server: Server) -> Iterator[int]:
    program = find(command[0])
    assert program is not None
    log = folder / f"{command[0]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, *command[1:]], stdout=out, stderr=out)
        try:
            wait_until(lambda: _answers(server), f"{command[0]} to answer ({log})", 20.0)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(server: Server) -> bool:
    try:
        query = dns.message.make_query(NAME, "A")
        reply = dns.query.udp(query, server.address, 0.5, server.port)
    except (dns.exception.DNSException, OSError):
        time.sleep(0.05)
        return False
    return reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)


def _zone(addresses: list[str], ttl: int) -> str:
    records = "\n".join(f"{NAME}. {ttl} IN A {address}" for address in addresses)
    return (
        f"$ORIGIN {ZONE}.\n@ 60 IN SOA ns1 hostmaster 1 60 5 3600 5\n"
        f"@ 60 IN NS ns1\n@ 60 IN NS ns2\nns1 60 IN A 127.0.0.1\nns2 60 IN A 127.0.0.1\n"
        f"{records}\n{NAME}. 300 IN MX 10 mail\nmail 60 IN A 127.0.0.1\n"
    )


def _bind(
    folder: Path, server: Server, other: Server, key_file: Path, *, primary: bool
) -> list[str]:
    if primary:
        zone = (
            f'type primary; file "{folder}/zone.db"; notify explicit; notify-delay 0;\n'
            f"also-notify {{ {other.address} port {other.port}; }}; allow-transfer {{ any; }};\n"
            f"update-policy {{ grant {KEY} name {NAME} A AAAA CNAME;"
            f" grant {KEY} name _foreshadow.{NAME} TXT; }};"
        )
    else:
        zone = (
            f'type secondary; file "{folder}/zone.db"; notify no; max-refresh-time 1;\n'
            f"primaries {{ {other.address} port {other.port}; }};"
        )
    (folder / "named.conf").write_text(
        f'include "{key_file}";\ncontrols {{ }};\noptions {{ directory "{folder}";\n'
        f"listen-on port {server.port} {{ {server.address}; }}; listen-on-v6 {{ none; }};\n"
        f'pid-file "{folder}/pid"; session-keyfile "{folder}/session.key"; recursion no;\n'
        "dnssec-validation no; }};\n".replace("}}", "}")
        + f'zone "{ZONE}" {{ {zone} }};\n'
    )
    return ["named", "-g", "-n", "1", "-c", str(folder / "named.conf")]


def _knot(
    folder: Path, server: Server, other: Server, key_file: Path, *, primary: bool
) -> list[str]:
    zone = (
        "    notify: other\n    acl: [ update, transfer ]\n"
        if primary
        else "    master: other\n    acl: notify\n"
    )
    (folder / "knot.conf").write_text(
        f"server:\n    rundir: {folder}\n    listen: {server.address}@{server.port}\n"
        f"    background-workers: 2\n"
        f"log:\n  - target: stderr\n    any: info\n"
        f"database:\n    storage: {folder}/db\n"
        f"key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
        f"remote:\n  - id: other\n    address: {other.address}@{other.port}\n"
        f"acl:\n  - id: update\n    key: {KEY}\n    action: update\n"
        f"    update-owner: name\n    update-owner-name: [ {NAME}., _foreshadow.{NAME}. ]\n"
        f"  - id: transfer\n    address: 127.0.0.0/8\n    action: transfer\n"
        f"  - id: notify\n    address: 127.0.0.0/8\n    action: notify\n"
        f"zone:\n  - domain: {ZONE}\n    storage: {folder}\n    file: zone.db\n"
        f"    zonefile-load: whole\n{zone}"
    )
    return ["knotd", "-c", str(folder / "knot.conf")]


def _powerdns(
    folder: Path, server: Server, other: Server, key_file: Path, *, primary: bool
) -> list[str]:
    database = folder / "zones.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.executescript(SCHEMA.read_text())
    role = (
        f"primary=yes\ndnsupdate=yes\nalso-notify={other.address}:{other.port}\n"
        "allow-axfr-ips=127.0.0.0/8\nallow-dnsupdate-from=127.0.0.0/8\n"
        if primary
        else "secondary=yes\nxfr-cycle-interval=1\n"
    )
    (folder / "pdns.conf").write_text(
        f"launch=gsqlite3\ngsqlite3-database={database}\nsocket-dir={folder}\n"
        f"local-address={server.address}\nlocal-port={server.port}\n"
        # With caches, a question in the middle of an update brings the old answer back for 20 s.
        f"daemon=no\nguardian=no\nsecurity-poll-suffix=\ncache-ttl=0\nquery-cache-ttl=0\n{role}"
    )
    told = (
        [
            ["load-zone", ZONE, f"{folder}/zone.db"],
            ["import-tsig-key", KEY, "hmac-sha256", SECRET],
            ["set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", KEY],
            ["set-meta", ZONE, "SOA-EDIT-DNSUPDATE", "INCREASE"],
            ["set-meta", ZONE, "NOTIFY-DNSUPDATE", "1"],
            ["set-kind", ZONE, "primary"],
        ]
        if primary
        else [["create-secondary-zone", ZONE, f"{other.address}:{other.port}"]]
    )
    for words in told:
        subprocess.run(
            ["pdnsutil", f"--config-dir={folder}", *words], check=True, capture_output=True
        )
    return ["pdns_server", f"--config-dir={folder}"]


def _unbound(folder: Path, server: Server, least_ttl: int, *upstream: Server) -> list[str]:
    stubs = "".join(f"    stub-addr: {one.address}@{one.port}\n" for one in upstream)
    (folder / "unbound.conf").write_text(
        f"server:\n    interface: {server.address}@{server.port}\n    do-daemonize: no\n"
        f'    chroot: ""\n    username: ""\n    directory: "{folder}"\n    pidfile: ""\n'
        f'    use-syslog: no\n    module-config: "iterator"\n    do-ip6: no\n    num-threads: 1\n'
        f"    do-not-query-localhost: no\n    access-control: 127.0.0.0/8 allow\n"
        f"    cache-min-ttl: {least_ttl}\n    serve-expired: no\n    prefetch: no\n"
        f"remote-control:\n    control-enable: no\n"
        f"stub-zone:\n    name: {ZONE}\n{stubs}"
    )
    return ["unbound", "-d", "-c", str(folder / "unbound.conf")]
