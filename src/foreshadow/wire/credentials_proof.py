"""What is wrong with a certificate, its key and its authority, in words."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from foreshadow.domain.errors import AccessError

Three = tuple[bytes, bytes, bytes]


def prove(paths: tuple[Path, Path, Path], contents: Three) -> None:
    """Return when a certificate was issued by its authority and is its key's.

    :param paths: of the authority, the certificate and the key, and ``contents`` what is in them.
    :raises AccessError: when they are not what they should be, or do not belong together.
    """
    ca_path, cert_path, key_path = paths
    ca, cert, key = contents
    authority, own = _certificate(ca_path, ca), _certificate(cert_path, cert)
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        raise AccessError(
            "is not a private key without a passphrase",
            where=str(key_path),
            remedy="issue it with foreshadow pki issue",
        ) from None
    if private.public_key() != own.public_key():
        raise AccessError(
            f"does not belong to the key {key_path}",
            where=str(cert_path),
            remedy="name the key and the certificate that were issued together",
        )
    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise AccessError(
            f"was not issued by the authority {ca_path}",
            where=str(cert_path),
            remedy="issue it with foreshadow pki issue in that authority's folder",
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
