"""A small certificate authority: certificates for agents and controllers, renewed when asked.

The folder holds ``ca.pem`` and ``ca.key``, and for each certificate ``<kind>-<name>.pem`` and
``<kind>-<name>.key``. Keys are P-256 and readable by their owner only.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import TypeAdapter, ValidationError

from foreshadow.domain.errors import AccessError, SpecError
from foreshadow.domain.spec import Name
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.identity import Identity, Kind

AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=825)
_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """Files that are there now, and whether they were made just now.

    :ivar changed: false when what was there before is still good.
    """

    credentials: Credentials
    changed: bool


def init_authority(folder: Path) -> bool:
    """Make the authority; return false when it is there already.

    :raises AccessError: when the folder cannot be written, or holds half an authority.
    """
    ca, key_file = folder / "ca.pem", folder / "ca.key"
    if ca.exists() and key_file.exists():
        return False
    if ca.exists() or key_file.exists():
        there, gone = (ca, key_file) if ca.exists() else (key_file, ca)
        raise AccessError(
            f"{there.name} is there without {gone.name}",
            where=f"authority {folder}",
            remedy=f"put {gone.name} back, or begin in an empty folder and issue everything again",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Foreshadow authority")])
    now = datetime.now(UTC)
    certificate = (
        _unsigned(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_pair(ca, certificate, key_file, key)
    return True


def issue(folder: Path, name: str, kind: Kind | str, addresses: Sequence[str] = ()) -> Issued:
    """Issue a certificate for an agent or a controller.

    What is there already is kept while it is for the same addresses, was issued by this authority
    and has at least a third of its life left.

    :param name: of the agent's host, or of the controller.
    :param addresses: IP addresses and DNS names at which the agent is reached.
    :raises AccessError: when the folder holds no authority, or cannot be read or written.
    :raises SpecError: when the name or the kind cannot be used.
    """
    identity = _identity(name, kind)
    ca, ca_key = _authority(folder)
    stem = f"{identity.kind.value}-{identity.name}"
    files = Credentials(folder / "ca.pem", folder / f"{stem}.pem", folder / f"{stem}.key")
    names = _alternative_names(identity, addresses)
    now = datetime.now(UTC)
    if _still_good(files, names, now):
        return Issued(files, changed=False)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name)])
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if identity.kind is Kind.AGENT:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    issuer_key = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _unsigned(subject, ca.subject, key.public_key(), now, CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write_pair(files.cert, certificate, files.key, key)
    return Issued(files, changed=True)


def _identity(name: str, kind: Kind | str) -> Identity:
    try:
        checked = TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise SpecError(
            "cannot be a name",
            where=repr(name),
            remedy="use letters, digits, dots, dashes and underscores, at most 63",
        ) from None
    if kind not in list(Kind):
        raise SpecError(
            "is not a kind of certificate", where=repr(kind), remedy="use agent or controller"
        )
    return Identity(Kind(kind), checked)


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    except FileNotFoundError:
        raise AccessError(
            "there is no authority",
            where=str(folder),
            remedy=f"make it with foreshadow pki init {folder}",
        ) from None
    except OSError as error:
        raise AccessError(
            f"the authority cannot be read: {(error.strerror or str(error)).lower()}",
            where=str(folder),
            remedy="run as the user who made it",
        ) from None
    except ValueError:
        raise AccessError(
            "ca.pem or ca.key is damaged",
            where=str(folder),
            remedy="put them back from a backup, or begin in an empty folder",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AccessError(
            "ca.key was not made by foreshadow pki",
            where=str(folder),
            remedy="issue certificates with the tool that made the authority",
        )
    return ca, key


def _alternative_names(identity: Identity, addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(identity.uri),
        x509.DNSName(identity.name),
    ]
    for address in addresses:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError:
            names.append(x509.DNSName(address))
    return x509.SubjectAlternativeName(names)


def _still_good(files: Credentials, names: x509.SubjectAlternativeName, now: datetime) -> bool:
    try:
        files.prove()
    except AccessError:
        return False
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return present == names and certificate.not_valid_after_utc - now > CERTIFICATE_LIFE / 3


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(
    cert_file: Path,
    certificate: x509.Certificate,
    key_file: Path,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    """Write both files; the certificate last, so that an interrupted run is done again."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        cert_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(key_file, private, 0o600)
        _write(cert_file, certificate.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise AccessError(
            f"cannot be written: {(error.strerror or str(error)).lower()}",
            where=str(error.filename or cert_file.parent),
            remedy="give a folder that this user may write to",
        ) from None


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole, never readable by others for a moment."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
