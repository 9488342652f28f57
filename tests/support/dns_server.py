"""An authoritative DNS server, its secondaries and a caching resolver, in this process.

They speak real DNS over UDP and TCP on loopback. The server takes updates as RFC 2136 says, with
prerequisites and TSIG; a secondary follows it after a while; the resolver keeps answers for their
TTL. Faults are switched on by attributes.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.update

from foreshadow.directors.rfc2136_options import Server
from tests.support.agents import loopback
from tests.support.haproxy import free_port

Key = tuple[dns.name.Name, dns.rdatatype.RdataType]
Sets = dict[Key, dns.rdataset.Rdataset]
Answerer = Callable[[dns.message.Message], "dns.message.Message | None"]


def key_of(name: str, kind: str) -> Key:
    """Return how a record set is found."""
    return dns.name.from_text(name), dns.rdatatype.from_text(kind)


@dataclass
class Zone:
    """The record sets of a zone, and who may change them.

    :ivar lose_replies: that many updates are done and not answered.
    :ivar swallow: that many updates are kept back instead of done; see ``late``.
    :ivar stale: that many questions of the ``cached_kinds`` after the next update are answered from
        a cache, with what was there before it.
    :ivar updates: how many were done.
    """

    origin: str
    key: dns.tsig.Key | None = None
    sets: Sets = field(default_factory=dict)
    lose_replies: int = 0
    swallow: int = 0
    late: list[dns.message.Message] = field(default_factory=list)
    stale: int = 0
    cached: Sets | None = None
    cached_kinds: frozenset[str] = frozenset({"TXT"})
    updates: int = 0
    before_update: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, kind: str, ttl: int, *data: str) -> None:
        """Set a record set by hand; without data, remove it."""
        found = dns.rdataset.from_text_list("IN", kind, ttl, list(data)) if data else None
        with self.lock:
            if found is None:
                self.sets.pop(key_of(name, kind), None)
            else:
                self.sets[key_of(name, kind)] = found

    def texts(self, name: str, kind: str) -> list[str]:
        """Return the data of a record set."""
        with self.lock:
            return sorted(d.to_text() for d in self.sets.get(key_of(name, kind), ()))

    def copy(self) -> Sets:
        """Return the zone as it is now."""
        with self.lock:
            return {key: found.copy() for key, found in self.sets.items()}

    def answer(self, message: dns.message.Message) -> dns.message.Message | None:
        """Answer a question, or do an update."""
        if message.opcode() != dns.opcode.UPDATE:
            return lookup(self._from_cache(message) or self.copy(), message)
        if self.key is not None and not message.had_tsig:
            return _reply(message, dns.rcode.REFUSED)
        if self.swallow:
            self.swallow -= 1
            self.late.append(message)
            return None
        rcode = self.update(message)
        if self.lose_replies:
            self.lose_replies -= 1
            return None
        return _reply(message, rcode)

    def _from_cache(self, question: dns.message.Message) -> Sets | None:
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        if self.cached is None or kind not in self.cached_kinds:
            return None
        self.stale -= 1
        cached, self.cached = self.cached, self.cached if self.stale else None
        return cached

    def update(self, message: dns.message.Message) -> dns.rcode.Rcode:
        """Do an update, when its prerequisites hold."""
        assert isinstance(message, dns.update.UpdateMessage)
        self.before_update()
        if self.stale and self.cached is None:
            self.cached = self.copy()
        with self.lock:
            rcode = self._unmet(message)
            if rcode == dns.rcode.NOERROR:
                for section in message.update:
                    self._change(section)
                self.updates += 1
            return rcode

    def _unmet(self, message: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        if any(wanted.ttl for wanted in message.prerequisite):
            return dns.rcode.FORMERR
        whole: dict[Key, set[dns.rdata.Rdata]] = {}
        for wanted in message.prerequisite:  # each record stands by itself
            key = (wanted.name, wanted.rdtype)
            if wanted.deleting == dns.rdataclass.NONE:
                if key in self.sets:
                    return dns.rcode.YXRRSET
            else:
                whole.setdefault(key, set()).update(wanted)
        same = all(set(self.sets.get(key, ())) == data for key, data in whole.items())
        return dns.rcode.NOERROR if same else dns.rcode.NXRRSET

    def _change(self, section: dns.rdataset.Rdataset) -> None:
        key = (section.name, section.rdtype)  # type: ignore[attr-defined]
        found = self.sets.get(key)
        if section.deleting == dns.rdataclass.NONE:  # type: ignore[attr-defined]
            left = [data for data in found or () if data not in set(section)]
            if left:
                self.sets[key] = dns.rdataset.from_rdata_list(found.ttl if found else 0, left)
            else:
                self.sets.pop(key, None)
            return
        whole = [*(found or ()), *(data for data in section if data not in set(found or ()))]
        self.sets[key] = dns.rdataset.from_rdata_list(section.ttl, whole)


class Secondary:
    """Serves a zone as it was some seconds ago.

    :ivar lag: seconds; ``None`` stops it from following at all.
    """

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.lag: float | None = 0.0
        self._sets = zone.copy()
        self._seen = self._sets
        self._seen_at = time.monotonic()

    def follow(self) -> None:
        """Take over the zone as it is now."""
        self._sets = self._seen = self.zone.copy()

    def answer(self, message: dns.message.Message) -> dns.message.Message | None:
        """Answer a question."""
        current = self.zone.copy()
        if current != self._seen:
            self._seen, self._seen_at = current, time.monotonic()
        if self.lag is not None and time.monotonic() - self._seen_at >= self.lag:
            self._sets = self._seen
        return lookup(self._sets, message)


class Resolver:
    """Asks one server, and keeps what it says for its TTL.

    :ivar floor: the least TTL that it applies.
    """

    def __init__(self, upstream: Server, now: Callable[[], float] = time.monotonic) -> None:
        self.upstream = upstream
        self.floor = 0.0
        self.now = now
        self._cache: dict[Key, tuple[float, dns.message.Message]] = {}

    def answer(self, message: dns.message.Message) -> dns.message.Message | None:
        """Answer from the cache, or ask."""
        question = message.question[0]
        key = (question.name, question.rdtype)
        until, kept = self._cache.get(key, (0.0, message))
        if self.now() >= until:
            query = dns.message.make_query(question.name, question.rdtype)
            kept = dns.query.udp(query, self.upstream.address, 2.0, self.upstream.port)
            ttl = max([self.floor, *(float(a.ttl) for a in kept.answer)])
            until = self.now() + ttl
            self._cache[key] = (until, kept)
        reply = _reply(message, kept.rcode())
        reply.flags &= ~dns.flags.AA
        for answer in kept.answer:
            aged = reply.find_rrset(
                reply.answer, answer.name, answer.rdclass, answer.rdtype, create=True
            )
            aged.update(answer)
            aged.ttl = max(0, int(until - self.now()))
        return reply


@dataclass
class Running:
    """One server that listens.

    :ivar silent: it answers nothing.
    """

    server: Server
    silent: bool = False


def lookup(sets: Sets, message: dns.message.Message) -> dns.message.Message:
    """Answer a question from record sets."""
    question = message.question[0]
    reply = _reply(message, dns.rcode.NOERROR)
    found = sets.get((question.name, question.rdtype))
    if found is not None:
        rrset = reply.find_rrset(
            reply.answer, question.name, dns.rdataclass.IN, question.rdtype, create=True
        )
        rrset.update(found)
    return reply


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def serving(answer: Answerer, key: dns.tsig.Key | None = None) -> Iterator[Running]:
    """Listen on UDP and TCP until the end of the block."""
    address = loopback()
    running = Running(Server(address, free_port(address)))
    keyring = {} if key is None else {key.name: key}

    def replied(wire: bytes) -> bytes | None:
        return None if running.silent else _replied(wire, answer, keyring)

    class Datagrams(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, back = self.request
            if (reply := replied(wire)) is not None:
                back.sendto(reply, self.client_address)

    class Streams(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, struct.error):
                if (reply := replied(_read_stream(self.request))) is not None:
                    self.request.sendall(struct.pack("!H", len(reply)) + reply)
                else:
                    self.request.settimeout(10)
                    self.request.recv(1)  # until the client gives up

    where = (running.server.address, running.server.port)
    with _Udp(where, Datagrams) as udp, _Tcp(where, Streams) as tcp:
        threads = [threading.Thread(target=s.serve_forever, args=(0.02,)) for s in (udp, tcp)]
        for thread in threads:
            thread.start()
        try:
            yield running
        finally:
            for server in (udp, tcp):
                server.shutdown()
            for thread in threads:
                thread.join()


def _replied(
    wire: bytes, answer: Answerer, keyring: dict[dns.name.Name, dns.tsig.Key]
) -> bytes | None:
    try:
        message = dns.message.from_wire(wire, keyring=keyring)
    except (dns.tsig.BadSignature, dns.message.UnknownTSIGKey):
        return _not_authentic(wire)
    reply = answer(message)
    return None if reply is None else reply.to_wire(max_size=65535)


def _read_stream(connection: socket.socket) -> bytes:
    (length,) = struct.unpack("!H", connection.recv(2))
    wire = b""
    while len(wire) < length:
        wire += connection.recv(length - len(wire))
    return wire


def _reply(message: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    reply = dns.message.make_response(message)
    reply.flags |= dns.flags.AA
    reply.set_rcode(rcode)
    return reply


def _not_authentic(wire: bytes) -> bytes:
    """Answer NOTAUTH, unsigned: what is asked cannot be read without the key."""
    head = struct.unpack("!H", wire[:2])[0]
    return struct.pack("!HHHHHH", head, 0xA800 | dns.rcode.NOTAUTH, 0, 0, 0, 0)
