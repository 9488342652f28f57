"""Why a call got no answer: nobody there, or somebody whose certificate does not fit ours.

Or ours do not fit each other, which is looked at first.

gRPC reports both as ``UNAVAILABLE``, with TLS 1.3 often only as a closed socket. One plain TLS
handshake at the same address tells them apart.
"""

from __future__ import annotations

import socket
import ssl

from foreshadow.domain.errors import AccessError, ForeshadowError, UnreachableError
from foreshadow.domain.fleet import Host
from foreshadow.wire.channel import target
from foreshadow.wire.credentials import Credentials

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def diagnose(host: Host, credentials: Credentials, timeout: float, said: str) -> ForeshadowError:
    """Return the error that explains why the agent of a host cannot be called.

    :param timeout: seconds that the handshake may take.
    :param said: what gRPC said about it.
    """
    try:
        credentials.prove()
    except AccessError as misfit:
        return misfit
    at, where = target(host), f"host {host.name}"
    refused = AccessError(
        f"its agent at {at} refuses our certificate {credentials.cert}",
        where=where,
        remedy="use a certificate from the authority that the agent trusts",
    )
    try:
        with _handshake(host, credentials, timeout) as tls:
            try:
                # With TLS 1.3 a client that is refused learns it only when it reads.
                tls.sendall(_HTTP2_PREFACE)
                if not tls.recv(1):
                    return refused
            except (ssl.SSLError, ConnectionError):
                return refused
    except ssl.SSLCertVerificationError as error:
        return AccessError(
            f"what answers at {at} does not prove to be the agent of {host.name}: "
            f"{error.verify_message}",
            where=where,
            remedy=f"issue it a certificate for {host.name} from the authority {credentials.ca}, "
            "or correct the address",
        )
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        # Whoever forwards to the agent answers, and not the agent: it is down, or on its way up.
        return UnreachableError(
            f"what answers at {at} closes the connection at once",
            where=where,
            remedy="see whether the agent behind it runs",
        )
    except ssl.SSLError as error:
        return AccessError(
            f"what answers at {at} does not speak TLS as an agent does: "
            f"{(error.reason or str(error)).replace('_', ' ').lower()}",
            where=where,
            remedy="correct the address or the port, or update the agent",
        )
    except OSError:
        return UnreachableError(
            f"no agent answers at {at}",
            where=where,
            remedy="start it with the foreshadow.core.agent role or check the address",
        )
    return UnreachableError(
        f"the connection to its agent at {at} was lost: {said}",
        where=where,
        remedy="run it again; if it happens again, see the agent's log",
    )


def _handshake(host: Host, credentials: Credentials, timeout: float) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(credentials.ca)
    context.load_cert_chain(credentials.cert, credentials.key)
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection((host.address, host.port), timeout)
    try:
        return context.wrap_socket(raw, server_hostname=host.name)
    except BaseException:
        raw.close()
        raise
