"""Remarks on what is tried again and again: each is logged once."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class Remarks:
    """Says a line when it differs from the last one about the same thing."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, about: str, line: str) -> None:
        """Log a line once, until there is another one; an empty line says that all is well."""
        if line != self._said.get(about, ""):
            self._said[about] = line
            _log.warning("%s", line or f"{about} is recorded again")
