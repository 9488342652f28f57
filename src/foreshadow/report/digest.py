"""The digest by which two pages are compared: everything on it but when it was made."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from blake3 import blake3

from foreshadow.domain.clock import WallTime
from foreshadow.report.facts import Facts

_DIGEST = re.compile(r'<meta name="foreshadow-digest" content="([0-9a-f]+)">')


def digest(facts: Facts) -> str:
    """Return a digest of what the page tells, without when it was made."""
    told = replace(facts, generated=WallTime(0.0))
    return blake3(json.dumps(told, default=_plain, sort_keys=True).encode()).hexdigest(16)


def digest_of(page: str) -> str | None:
    """Return the digest that a written page carries, or ``None`` when it is not one of ours."""
    found = _DIGEST.search(page)
    return found.group(1) if found else None


def _plain(value: Any) -> Any:
    """Return the JSON types of one of our values."""
    if hasattr(value, "plain"):
        return value.plain()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
