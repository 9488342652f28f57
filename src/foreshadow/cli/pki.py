"""``foreshadow pki``."""

from __future__ import annotations

import argparse

from foreshadow.wire import pki


def init(options: argparse.Namespace) -> None:
    """Make an authority, unless it is there."""
    made = pki.init_authority(options.folder)
    print(f"{'made' if made else 'unchanged'}: {options.folder / 'ca.pem'}")


def issue(options: argparse.Namespace) -> None:
    """Issue a certificate, unless the one that is there is still good."""
    issued = pki.issue(options.folder, options.name, options.kind, options.address)
    print(f"{'issued' if issued.changed else 'unchanged'}: {issued.credentials.cert}")
