"""The three files that let one side prove to the other who it is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

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

        That the authority has issued the certificate shows when an agent is asked; why it does not
        answer then, :func:`~foreshadow.wire.diagnose.diagnose` tells.

        :raises AccessError: when a file cannot be read, or is not what it should be, or the key is
            another certificate's.
        """
        ca, cert, key = self._contents()
        if not self._loads():
            self.prove()
        return grpc.ssl_channel_credentials(ca, key, cert)

    def server(self) -> grpc.ServerCredentials:
        """Return what a server listens with; it refuses clients without a certificate.

        :raises AccessError: when a file cannot be read, or the three do not belong together.
        """
        ca, cert, key = self._contents()
        self.prove()
        return grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True)

    def prove(self) -> None:
        """Return when the three belong together.

        :raises AccessError: which file is wrong, and what with it.
        """
        # Loaded here: it takes longer than all else that a client needs for its first call.
        from foreshadow.wire.credentials_proof import prove

        prove((self.ca, self.cert, self.key), self._contents())

    def _contents(self) -> tuple[bytes, bytes, bytes]:
        return _content(self.ca), _content(self.cert), _content(self.key)

    def _loads(self) -> bool:
        """Return whether TLS takes the files; gRPC itself would only log in C that it does not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.ca)
            # A passphrase would be asked for at the terminal.
            context.load_cert_chain(self.cert, self.key, password=str)
        except (ssl.SSLError, ValueError):
            return False
        return True


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AccessError(
            f"cannot be read: {(error.strerror or str(error)).lower()}",
            where=str(path),
            remedy="give ca, cert and key as files that this user may read",
        ) from None
