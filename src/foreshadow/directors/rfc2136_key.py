"""The TSIG key of updates, read where it is when it is needed, and kept nowhere else."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path

import dns.name
import dns.tsig

from foreshadow.directors.rfc2136_options import KeyOptions
from foreshadow.domain.errors import AccessError

_SECRET = re.compile(r"""secret:?\s+"?([A-Za-z0-9+/=]+)"?""")


def read_key(options: KeyOptions, where: str) -> dns.tsig.Key:
    """Return the key.

    :raises AccessError: when it cannot be read; the secret is in no error.
    """
    place, text = _text(options, where)
    found = _SECRET.search(text)
    secret = found[1] if found else text.strip()
    try:
        raw = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise AccessError(
            f"{place} holds no TSIG secret",
            where=where,
            remedy="write it in base64, alone or in a key clause, as tsig-keygen does",
        )
    return dns.tsig.Key(dns.name.from_text(options.name), raw, f"{options.algorithm}.")


def _text(options: KeyOptions, where: str) -> tuple[str, str]:
    if options.file is None:
        variable = str(options.environment)
        if variable not in os.environ:
            raise AccessError(
                f"the environment variable {variable} is not set",
                where=where,
                remedy="set it to the secret of the TSIG key, or name a file",
            )
        return f"the environment variable {variable}", os.environ[variable]
    try:
        return f"the file {options.file}", Path(options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(
            f"the TSIG key in {options.file} cannot be read: {getattr(error, 'strerror', error)}",
            where=where,
            remedy="make it readable for the controller",
        ) from None
