"""gRPC channels to agents, and the options that both ends agree on."""

from __future__ import annotations

import ipaddress

import grpc
import grpc.aio

from foreshadow.domain.fleet import Host
from foreshadow.wire.credentials import Credentials

MAX_MESSAGE = 32 * 2**20
"""Bytes of the largest message that either side accepts."""

Options = list[tuple[str, str | int]]

_LINK: Options = [
    # A probe for each message would cost more than a message that says that nothing changed; a
    # window of this size fills 100 Mbit/s over a round trip of 300 ms without it.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 * 2**20),
]

SERVER_OPTIONS: Options = [
    *_LINK,
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    # Two servers on one port would each get half of the calls.
    ("grpc.so_reuseport", 0),
]


def target(host: Host) -> str:
    """Return ``address:port`` of the host's agent, an IPv6 address in brackets."""
    try:
        bare_ipv6 = ipaddress.ip_address(host.address).version == 6
    except ValueError:
        bare_ipv6 = False
    return f"[{host.address}]:{host.port}" if bare_ipv6 else f"{host.address}:{host.port}"


def open_channel(host: Host, credentials: Credentials) -> grpc.Channel:
    """Return a channel for threads; it connects at the first call.

    :raises AccessError: when the credentials cannot be used.
    """
    return grpc.secure_channel(target(host), credentials.channel(), _options(host))


def open_aio_channel(host: Host, credentials: Credentials) -> grpc.aio.Channel:
    """Return a channel for the running event loop; it connects at the first call.

    :raises AccessError: when the credentials cannot be used.
    """
    return grpc.aio.secure_channel(target(host), credentials.channel(), _options(host))


def _options(host: Host) -> Options:
    return [
        *_LINK,
        # The certificate proves which host answers, whatever address it was reached at.
        ("grpc.ssl_target_name_override", host.name),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.enable_http_proxy", 0),
        # An agent that was restarted is found again at once, not after a back-off of minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # In spite of its name: how long one attempt to connect may take.
        ("grpc.min_reconnect_backoff_ms", 5000),
        # One client's failed attempts must not hold up another's.
        ("grpc.use_local_subchannel_pool", 1),
    ]
