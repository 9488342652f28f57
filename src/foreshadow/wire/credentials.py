"""The three files that let one side prove to the other who it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from foreshadow.domain.errors import AccessError


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate, its key, and the authority that both sides trust; all PEM files.

    :ivar ca: certificate of the authority.
    :ivar cert: certificate of this side, issued by that authority.
    :ivar key: private key of ``cert``, without a passphrase.
    """

    ca: Path
    cert: Path
    key: Path

    def channel(self) -> grpc.ChannelCredentials:
        """Return what a client connects with.

        :raises AccessError: when a file cannot be read, or the three do not belong together.
        """
        ca, cert, key = self._matching()
        return grpc.ssl_channel_credentials(ca, key, cert)

    def server(self) -> grpc.ServerCredentials:
        """Return what a server listens with; it refuses clients without a certificate.

        :raises AccessError: when a file cannot be read, or the three do not belong together.
        """
        ca, cert, key = self._matching()
        return grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True)

    def _matching(self) -> tuple[bytes, bytes, bytes]:
        """Return the contents of the files, proved to fit: gRPC itself would only log in C."""
        ca, cert, key = (_content(path) for path in (self.ca, self.cert, self.key))
        authority, own = _certificate(self.ca, ca), _certificate(self.cert, cert)
        try:
            private = load_pem_private_key(key, password=None)
        except (ValueError, TypeError):
            raise AccessError(
                "is not a private key without a passphrase",
                where=str(self.key),
                remedy="issue it with foreshadow pki issue",
            ) from None
        if private.public_key() != own.public_key():
            raise AccessError(
                f"does not belong to the key {self.key}",
                where=str(self.cert),
                remedy="name the key and the certificate that were issued together",
            )
        try:
            own.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            raise AccessError(
                f"was not issued by the authority {self.ca}",
                where=str(self.cert),
                remedy="issue it with foreshadow pki issue in that authority's folder",
            ) from None
        return ca, cert, key


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AccessError(
            f"cannot be read: {(error.strerror or str(error)).lower()}",
            where=str(path),
            remedy="give ca, cert and key as files that this user may read",
        ) from None


def _certificate(path: Path, pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise AccessError(
            "is not a certificate in PEM form",
            where=str(path),
            remedy="make one with foreshadow pki",
        ) from None
