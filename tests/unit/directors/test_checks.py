"""Checking a host where its director's servers do not."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foreshadow.directors.checks import CheckOptions, failure, failures
from tests.support.agents import loopback
from tests.support.haproxy import free_port
from tests.support.wells import Wells, listening

NAME = "www.example.org"


@pytest.fixture(scope="module")
def wells() -> Iterator[Wells]:
    addresses = {"edge-a": loopback(), "edge-b": loopback()}
    with listening(addresses, free_port(addresses["edge-a"])) as running:
        yield running


def test_who_answers_well_passes(wells: Wells) -> None:
    check = CheckOptions(port=wells.port, path="/healthz")
    assert failures(wells.addresses, check, NAME) == {}


def test_who_answers_badly_is_told(wells: Wells) -> None:
    wells.status["edge-b"] = 503
    try:
        said = failures(wells.addresses, CheckOptions(port=wells.port, path="/healthz"), NAME)
    finally:
        wells.status.clear()
    assert list(said) == ["edge-b"]
    assert said["edge-b"].endswith("/healthz answers 503")


def test_a_frozen_service_passes_a_connection_and_no_request(wells: Wells) -> None:
    address = wells.addresses["edge-a"]
    with wells.frozen("edge-a"):
        assert failure(address, CheckOptions(port=wells.port), NAME) == ""
        asked = CheckOptions(port=wells.port, path="/healthz", timeout=0.2)
        assert "does not answer within 200ms" in failure(address, asked, NAME)


def test_nobody_there_is_told_in_one_line() -> None:
    said = failure("127.0.0.1", CheckOptions(port=free_port("127.0.0.1")), NAME)
    assert "refused" in said
    assert "\n" not in said


def test_no_hosts_no_failures() -> None:
    assert failures({}, CheckOptions(port=1), NAME) == {}


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


@pytest.mark.parametrize(
    ("named", "asked", "passes"),
    [
        (NAME, NAME, True),
        ("other.example.org", NAME, False),
        ("*.example.org", NAME, True),
        ("*.example.org", "*.example.org", True),
        ("*.example.org", r"\052.example.org", True),
        ("*.example.org", "*.example.net", False),
    ],
)
def test_over_tls_the_certificate_is_for_the_name(
    tmp_path: Path, named: str, asked: str, passes: bool
) -> None:
    pem, private = certificate(tmp_path, named)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            plain, _ = server.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as secured:
                    secured.recv(4096)
                    secured.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            except OSError:
                plain.close()

        thread = threading.Thread(target=answer)
        thread.start()
        check = CheckOptions(port=port, path="/healthz", tls=True, ca_file=str(pem))
        said = failure(str(ipaddress.ip_address("127.0.0.1")), check, asked)
        thread.join()
    assert (said == "") is passes
    if not passes:
        assert asked.lstrip("*") in said
