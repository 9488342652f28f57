"""Questions and updates to one DNS server, and what its answers mean for a person."""

from __future__ import annotations

import time
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.update

from foreshadow.directors.rfc2136_options import Server
from foreshadow.domain.errors import AccessError, DirectorError, UnreachableError
from foreshadow.domain.units import format_duration

_TRIES = 3
_RESOLVER_SECONDS = 1.0
_LOST = {dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN}


class LostError(DirectorError):
    """What was to be changed is no longer what was read: somebody else was faster."""


class SilentError(UnreachableError):
    """No answer to an update: it may have been done."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask, and about what.

    :ivar timeout: seconds for one question with all its tries; a resolver gets one at most, for
        nothing waits for one that is silent.
    :ivar where: what it is about, for errors.
    """

    timeout: float
    where: str

    def authority(
        self, server: Server, name: dns.name.Name, kind: str
    ) -> dns.rdataset.Rdataset | None:
        """Return the record set that an authoritative server has; ``None`` when it has none.

        :raises UnreachableError: when it does not answer, or not for the zone now.
        :raises DirectorError: when it is not authoritative for the name.
        """
        reply = self._ask(server, name, kind, self.timeout, recursive=False)
        if not reply.flags & dns.flags.AA:
            raise DirectorError(
                f"answers for {name} without authority",
                where=self.at(server),
                remedy="name only servers that serve the zone themselves",
            )
        return reply.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, _type(kind))

    def resolver(
        self, server: Server, name: dns.name.Name, kind: str
    ) -> dns.rdataset.Rdataset | None:
        """Return the record set that a resolver gives to clients.

        :raises UnreachableError: when it does not answer, or could not find out.
        """
        within = min(self.timeout, _RESOLVER_SECONDS)
        reply = self._ask(server, name, kind, within, recursive=True)
        return reply.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, _type(kind))

    def update(self, server: Server, message: dns.update.UpdateMessage) -> None:
        """Send an update.

        :raises LostError: when a prerequisite does not hold.
        :raises SilentError: when no answer came: it may have been done.
        :raises UnreachableError: when it certainly was not done.
        :raises AccessError: when the server does not take it from us.
        """
        try:
            reply = dns.query.tcp(message, server.address, self.timeout, server.port)
        except (dns.tsig.PeerError, dns.tsig.BadTime, dns.tsig.BadSignature) as error:
            raise self._refused(server, f"refuses the TSIG key ({_said(error)})") from None
        except dns.exception.FormError as error:
            raise self._refused(
                server, f"answers what cannot be trusted ({_said(error)})"
            ) from None
        except ConnectionRefusedError:
            raise UnreachableError(
                "takes no connection for an update",
                where=self.at(server),
                remedy="see that it runs, and listens on TCP",
            ) from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise SilentError(
                f"did not answer an update ({_said(error)})",
                where=self.at(server),
                remedy="see that the server runs, and is reached on TCP",
            ) from None
        rcode = reply.rcode()
        if rcode in _LOST:
            raise LostError("was changed by somebody else", where=self.at(server))
        if rcode != dns.rcode.NOERROR:
            raise self._refused(server, f"refuses the update with {dns.rcode.to_text(rcode)}")

    def at(self, server: Server) -> str:
        """Return the place for an error about a server."""
        return f"{self.where}, server {server}"

    def _refused(self, server: Server, problem: str) -> AccessError:
        return AccessError(
            problem,
            where=self.at(server),
            remedy="check the key's name, algorithm and secret, and that it may update the record "
            "and its TXT record at _foreshadow, in the zone's update-policy or acl; and the clocks",
        )

    def _ask(
        self, server: Server, name: dns.name.Name, kind: str, within: float, *, recursive: bool
    ) -> dns.message.Message:
        flags = dns.flags.RD if recursive else 0
        query = dns.message.make_query(name, _type(kind), use_edns=0, flags=flags)
        reply = self._repeatedly(server, query, within)
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise UnreachableError(
                f"answers {dns.rcode.to_text(reply.rcode())} about {name}",
                where=self.at(server),
                remedy="see that it serves the zone, and answers to the controller",
            )
        return reply

    def _repeatedly(
        self, server: Server, query: dns.message.Message, seconds: float
    ) -> dns.message.Message:
        """Ask over UDP, and again when a packet is lost; over TCP when the answer is too long."""
        end = time.monotonic() + seconds
        said = ""
        for left in range(_TRIES, 0, -1):
            began = time.monotonic()
            within = max(0.01, end - began) / left
            try:
                reply, _ = dns.query.udp_with_fallback(
                    query, server.address, within, server.port, ignore_unexpected=True
                )
                return reply
            except (dns.exception.DNSException, OSError, EOFError) as error:
                said = _said(error)
            # A refused packet comes back at once: give whoever restarts a moment.
            time.sleep(max(0.0, min(0.05, within - (time.monotonic() - began))))
        raise UnreachableError(
            f"does not answer within {format_duration(seconds)} ({said})",
            where=self.at(server),
            remedy="see that it runs, and is reached from the controller",
        )


def _type(kind: str) -> dns.rdatatype.RdataType:
    return dns.rdatatype.from_text(kind)


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
