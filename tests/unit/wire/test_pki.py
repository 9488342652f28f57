"""The certificate authority, and what its certificates say."""

from __future__ import annotations

import contextlib
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from foreshadow.domain.errors import AccessError, SpecError
from foreshadow.wire import pki
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.identity import Identity, Kind, identity_in


def test_a_certificate_tells_who_it_is_for(tmp_path: Path) -> None:
    assert pki.init_authority(tmp_path)
    issued = pki.issue(tmp_path, "edge-a", "agent", ["127.0.0.11", "edge-a.example"])
    pem = issued.credentials.cert.read_bytes()
    assert identity_in(pem) == Identity(Kind.AGENT, "edge-a")
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["edge-a", "edge-a.example"]
    assert [str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.11"]


def test_openssl_takes_the_certificates_in_its_strictest_mode(tmp_path: Path) -> None:
    pki.init_authority(tmp_path)
    files = pki.issue(tmp_path, "edge-a", "agent").credentials
    context = ssl.create_default_context(cafile=str(files.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(files.cert, files.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.cert, files.key)
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(client_in, client_out, server_hostname="edge-a")
    accepted = server.wrap_bio(client_out, client_in, server_side=True)
    for _ in range(4):
        for side in (client, accepted):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert client.getpeercert()


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    pki.init_authority(tmp_path / "pki")
    files = pki.issue(tmp_path / "pki", "ops", "controller").credentials
    for key in (files.key, tmp_path / "pki" / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_is_good_is_kept_and_what_is_not_is_issued_anew(tmp_path: Path) -> None:
    assert pki.init_authority(tmp_path)
    assert not pki.init_authority(tmp_path)
    first = pki.issue(tmp_path, "edge-a", "agent", ["127.0.0.11"])
    pem = first.credentials.cert.read_bytes()
    assert first.changed
    assert not pki.issue(tmp_path, "edge-a", "agent", ["127.0.0.11"]).changed
    assert first.credentials.cert.read_bytes() == pem
    assert pki.issue(tmp_path, "edge-a", "agent", ["127.0.0.12"]).changed
    first.credentials.key.write_text("damaged")
    assert pki.issue(tmp_path, "edge-a", "agent", ["127.0.0.12"]).changed
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "ca.key").unlink()
    pki.init_authority(tmp_path)
    assert pki.issue(tmp_path, "edge-a", "agent", ["127.0.0.12"]).changed


def test_a_certificate_is_renewed_in_the_last_third_of_its_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pki.init_authority(tmp_path)
    life = pki.CERTIFICATE_LIFE
    monkeypatch.setattr(pki, "CERTIFICATE_LIFE", life / 4)
    pki.issue(tmp_path, "edge-a", "agent")
    monkeypatch.setattr(pki, "CERTIFICATE_LIFE", life)
    assert pki.issue(tmp_path, "edge-a", "agent").changed


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a b", "x" * 64, "a\n"])
def test_a_name_that_could_lead_astray_is_refused(tmp_path: Path, name: str) -> None:
    pki.init_authority(tmp_path)
    with pytest.raises(SpecError, match="cannot be a name"):
        pki.issue(tmp_path, name, "agent")


def test_errors_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        AccessError, match="there is no authority; make it with foreshadow pki init"
    ):
        pki.issue(tmp_path, "edge-a", "agent")
    pki.init_authority(tmp_path)
    with pytest.raises(SpecError, match="is not a kind of certificate; use agent or controller"):
        pki.issue(tmp_path, "edge-a", "server")
    (tmp_path / "ca.key").unlink()
    with pytest.raises(AccessError, match=r"ca\.pem is there without ca\.key"):
        pki.init_authority(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessError, match="cannot be written"):
        pki.init_authority(tmp_path / "file" / "pki")


def test_credentials_that_do_not_fit_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        pki.init_authority(tmp_path / name)
    one = pki.issue(tmp_path / "one", "ops", "controller").credentials
    two = pki.issue(tmp_path / "two", "ops", "controller").credentials
    one.channel()
    one.server()
    one.prove()
    strange = Credentials(two.ca, one.cert, one.key)
    strange.channel()  # that it does not do shows at the first call
    for use in (strange.server, strange.prove):
        with pytest.raises(AccessError, match="was not issued by the authority"):
            use()
    with pytest.raises(AccessError, match="does not belong to the key"):
        Credentials(one.ca, one.cert, two.key).channel()
    with pytest.raises(AccessError, match="cannot be read: no such file or directory; give ca"):
        Credentials(one.ca, one.cert, tmp_path / "none").channel()
    with pytest.raises(AccessError, match="is not a certificate in PEM form"):
        Credentials(one.key, one.cert, one.key).channel()
    with pytest.raises(AccessError, match="is not a private key without a passphrase"):
        Credentials(one.ca, one.cert, one.cert).channel()


def test_a_foreign_certificate_carries_no_identity(tmp_path: Path) -> None:
    pki.init_authority(tmp_path)
    with pytest.raises(AccessError, match="carries no identity of Foreshadow"):
        identity_in((tmp_path / "ca.pem").read_bytes())
