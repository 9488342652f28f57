"""Naming what is unknown, with what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from foreshadow.domain.errors import UnknownNameError

_LONGEST = 63


def unknown(what: str, name: str, known: Iterable[str], *, where: str = "") -> UnknownNameError:
    """Return the error for a name that is not known.

    :param what: the kind of thing: ``resource``, ``host``.
    :param known: the names that there are; the nearest is suggested, else the first few listed.
    """
    names = sorted(known)
    shown = name if name.isprintable() and 0 < len(name) <= _LONGEST else repr(name[:_LONGEST])
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        remedy = f"did you mean {near[0]}?"
    elif names:
        more = ", …" if len(names) > 8 else ""
        remedy = f"known: {', '.join(names[:8])}{more}"
    else:
        remedy = f"no {what} is registered yet"
    return UnknownNameError(f"unknown {what} {shown}", where=where, remedy=remedy)
