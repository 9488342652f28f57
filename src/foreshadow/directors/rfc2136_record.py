"""The record and its claim in the zone: read together, and changed together or not at all."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.update

from foreshadow.directors.rfc2136_claim import LABEL, Claim, read_claim
from foreshadow.directors.rfc2136_key import read_key
from foreshadow.directors.rfc2136_options import Rfc2136Options
from foreshadow.directors.rfc2136_wire import Asking, LostError, SilentError
from foreshadow.domain.errors import DirectorError, FencedError, UnreachableError

Rdataset = dns.rdataset.Rdataset

_CLAIM_TTL = 5
_STALE_READS = 3
"""Tries of one change, while the server answers from its cache what was there before our last."""

_LOOK_AGAIN = 0.1
"""Seconds until a server is asked again that answered with what is no longer there."""


def this_actor() -> str:
    """Return what this process is called in a claim."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The record and its claim as the server that takes updates has them.

    :ivar claims: the whole TXT record set at the claim's name, of others too.
    """

    record: Rdataset | None
    claims: Rdataset | None
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change: the record as it is to be, when it is to change, and the claim.

    :ivar data: the record's data and TTL.
    """

    claim: Claim
    data: tuple[frozenset[dns.rdata.Rdata], int] | None = None


class Record:
    """One record of one resource.

    :param resource: whose it is.
    :param actor: what this process is called in the claim.
    """

    def __init__(
        self,
        options: Rfc2136Options,
        resource: str,
        asking: Asking,
        actor: str | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._resource = resource
        self._asking = asking
        self._actor = actor or this_actor()
        self._monotonic = monotonic
        self._sleep = sleep
        self._unsure = False
        self._made: tuple[frozenset[dns.rdata.Rdata], Claim] | None = None
        self.name = dns.name.from_text(options.name)
        self._claim_name = dns.name.from_text(f"{LABEL}.{options.name}")

    def look(self) -> Seen:
        """Return what the server that takes updates has now.

        :raises UnreachableError: when it does not answer.
        :raises DirectorError: when the claim there cannot be read.
        """
        server, ask = self._options.server, self._asking.authority
        record = ask(server, self.name, self._options.type)
        claims = ask(server, self._claim_name, "TXT")
        return Seen(record, claims, self._ours(claims))

    def new_claim(self, seen: Seen, token: int) -> Claim:
        """Return the claim as this actor would write it, having changed nothing yet.

        :raises FencedError: when a newer actor has been there, or another one with this token.
        :raises DirectorError: when the record is another resource's.
        """
        known = seen.claim
        if known is None:
            return Claim(self._options.type, self._resource, token, self._actor)
        if known.owner != self._resource:
            raise DirectorError(
                f"the record belongs to resource {known.owner}: {known.by} claimed it",
                where=self._asking.where,
                remedy=f"name another record, or remove the TXT record at {self._claim_name} when "
                "that resource is gone",
            )
        if known.token > token:
            raise FencedError(
                f"{known.by} has changed the record with token {known.token}, newer than {token}",
                where=self._asking.where,
                remedy="whoever holds the lease now goes on",
            )
        if known.token == token and known.by != self._actor:
            raise FencedError(
                f"{known.by} has already changed the record with token {token}",
                where=self._asking.where,
                remedy="take the lease before changing it",
            )
        return replace(known, token=token, by=self._actor)

    def change(self, token: int, make: Callable[[Seen, Claim], Wanted]) -> Seen:
        """Change the record and its claim in one update; return them as they are then.

        Nothing is sent when nothing would change, unless an update before this one was not
        answered: then the claim changes in any case, so that the other one, should it be on its
        way still, is refused.

        :param make: what is wanted, from what is there and a claim of ours.
        :raises DirectorError: when somebody else was faster, and who; or when no answer came, so
            that the state is unknown until it is read.
        """
        seen = self._look_past(None)
        for _ in range(_STALE_READS):
            try:
                return self._change(seen, token, make)
            except LostError:
                before, seen = seen, self._look_past(seen)
                if not self._was_stale(before, seen, token):
                    raise self._lost(seen, token) from None
        raise self._lost(seen, token)

    def _change(self, seen: Seen, token: int, make: Callable[[Seen, Claim], Wanted]) -> Seen:
        """Change what was seen.

        :raises LostError: when it is not what is there.
        """
        wanted = make(seen, self.new_claim(seen, token))
        certain = not (self._unsure or self._is_older(seen))
        if certain and _is_so(seen, wanted):
            return seen
        wanted = replace(wanted, claim=replace(wanted.claim, serial=self._newest_serial(seen) + 1))
        message = self._message(seen, wanted)
        self._unsure = True
        try:
            self._asking.update(self._options.server, message)
        except LostError:
            self._unsure = False
            raise
        except SilentError as error:
            back = self._read_back(wanted, error)
            self._made = _data(back.record), wanted.claim
            return back
        self._unsure = False
        made = _data(seen.record) if wanted.data is None else wanted.data[0]
        self._made = made, wanted.claim
        return self.look()

    def _read_back(self, wanted: Wanted, error: SilentError) -> Seen:
        try:
            seen = self.look()
        except UnreachableError:
            raise DirectorError(
                f"{error.problem}, nor what it has now: the record's state is unknown",
                where=error.where,
                remedy="read it again when the server answers, and repeat or undo the change",
            ) from None
        if _is_so(seen, wanted):
            self._unsure = False
            return seen
        raise error

    def _look_past(self, before: Seen | None) -> Seen:
        """Return what is there: not what was there before our last change, nor what was seen.

        A server may answer with that from its cache for a moment yet. It would name the one who
        was there before, not the one who was faster, or say that nothing has to be changed.
        Past the time of one question it is there: our claim was removed, or the zone restored.
        """
        end = self._monotonic() + self._asking.timeout
        while True:
            seen = self.look()
            known = before is not None and seen == before
            if not (known or self._is_older(seen)) or self._monotonic() >= end:
                return seen
            self._sleep(_LOOK_AGAIN)

    def _is_older(self, seen: Seen) -> bool:
        """Return whether this was there before our last change: serials only grow."""
        return (0 if seen.claim is None else seen.claim.serial) < self._newest_serial(seen)

    def _newest_serial(self, seen: Seen) -> int:
        """Return the newest serial that is known, also when a claim of ours has gone since.

        Begun anew, serials would make each change look older than the last one before.
        """
        known = (seen.claim, None if self._made is None else self._made[1])
        return max((claim.serial for claim in known if claim is not None), default=0)

    def _was_stale(self, before: Seen, seen: Seen, token: int) -> bool:
        """Return whether a server had answered from its cache with what our last change ended.

        Then nobody was faster, and the change may be made from what is there. The record and its
        claim are two questions, and each may come from a cache. When the claim has not moved, and
        the record is not what we made of it, somebody changed the record who claims nothing.
        """
        if seen.claim is None or (seen.claim.by, seen.claim.token) != (self._actor, token):
            return False
        return before.claim != seen.claim or self._made == (_data(seen.record), seen.claim)

    def _lost(self, seen: Seen, token: int) -> DirectorError | FencedError:
        """Return the error that tells who was faster."""
        try:
            self.new_claim(seen, token)
        except (DirectorError, FencedError) as error:
            return error
        by = "by somebody who claims nothing" if seen.claim is None else f"by {seen.claim.by}"
        return DirectorError(
            f"the record was changed {by} at the same moment",
            where=self._asking.where,
            remedy="look at who else changes it, and plan again",
        )

    def _message(self, seen: Seen, wanted: Wanted) -> dns.update.UpdateMessage:
        options = self._options
        key = options.key and read_key(options.key, self._asking.where)
        message = dns.update.UpdateMessage(options.zone, keyring=key)
        for name, kind, found in (
            (self.name, options.type, seen.record),
            (self._claim_name, "TXT", seen.claims),
        ):
            if found is None:
                message.absent(name, kind)
            else:
                message.present(name, *found)  # with a TTL of 0, as the standard wants it
        if wanted.data is not None:
            data, ttl = wanted.data
            for old in seen.record or ():
                message.delete(self.name, old)
            for new in sorted(data):
                message.add(self.name, ttl, new)
        for old in seen.claims or ():
            if _claim_in(old, options.type) is not None:
                message.delete(self._claim_name, old)
        txt = dns.rdtypes.ANY.TXT.TXT(
            dns.rdataclass.IN, dns.rdatatype.TXT, [s.encode() for s in wanted.claim.strings()]
        )
        message.add(self._claim_name, _CLAIM_TTL, txt)
        return message

    def _ours(self, claims: Rdataset | None) -> Claim | None:
        try:
            found = [_claim_in(data, self._options.type) for data in claims or ()]
        except ValueError as error:
            raise DirectorError(
                f"the TXT record at {self._claim_name} cannot be read: {error}",
                where=self._asking.where,
                remedy="remove it; it is written anew with the next change",
            ) from None
        return next((claim for claim in found if claim is not None), None)


def _data(record: Rdataset | None) -> frozenset[dns.rdata.Rdata]:
    return frozenset(record or ())


def _claim_in(data: dns.rdata.Rdata, kind: str) -> Claim | None:
    strings = [part.decode("utf-8", "replace") for part in getattr(data, "strings", ())]
    claim = read_claim(strings)
    return claim if claim is not None and claim.kind == kind else None


def _is_so(seen: Seen, wanted: Wanted) -> bool:
    if seen.claim is None or not seen.claim.same_but_serial(wanted.claim):
        return False
    if wanted.data is None:
        return True
    data, ttl = wanted.data
    return seen.record is not None and set(seen.record) == data and seen.record.ttl == ttl
