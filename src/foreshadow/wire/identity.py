"""Who is at the other end of a connection: what its certificate says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from cryptography import x509

from foreshadow.domain.errors import AccessError

_SCHEME = "foreshadow://"


class Kind(StrEnum):
    """What a certificate is for: an agent on a host, or somebody who acts through agents."""

    AGENT = "agent"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class Identity:
    """A kind and a name; an agent's name is the name of its host."""

    kind: Kind
    name: str

    @property
    def uri(self) -> str:
        """Return the identity as the certificate carries it, among its alternative names."""
        return f"{_SCHEME}{self.kind.value}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


class PeerContext(Protocol):
    """The part of a gRPC servicer's context that knows the peer."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what the transport proved about the peer."""
        ...


def peer(context: PeerContext) -> Identity:
    """Return who calls.

    :raises AccessError: when the certificate carries no identity of ours.
    """
    for pem in context.auth_context().get("x509_pem_cert", ()):
        return identity_in(pem)
    raise AccessError("the caller shows no certificate", remedy="connect with mutual TLS")


@lru_cache(maxsize=256)
def identity_in(pem: bytes) -> Identity:
    """Return the identity in a certificate.

    :raises AccessError: when it carries none, or more than one.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    ours = [uri.removeprefix(_SCHEME) for uri in uris if uri.startswith(_SCHEME)]
    if len(ours) == 1:
        kind, _, name = ours[0].partition("/")
        if kind in list(Kind) and name:
            return Identity(Kind(kind), name)
    raise AccessError(
        "the certificate carries no identity of Foreshadow",
        remedy="issue it with foreshadow pki issue",
    )
