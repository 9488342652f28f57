"""What the parts of a spec whose keys are all known have in common: typing errors are refused."""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
