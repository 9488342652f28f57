"""Capture of ``profile``: the workload as the service tells it, shaped by a JMESPath query."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, ConfigDict

from foreshadow.domain.errors import SpecError
from foreshadow.domain.protocols import Findings, Scene
from foreshadow.domain.spec import ProfileSpec
from foreshadow.sync.options import read_options

_LARGEST = 4 * 1024 * 1024
_MOST_ROWS = 1000
_NUMBERS = ("rate", "latency", "p99", "share")


class ProfileOptions(BaseModel):
    """What to capture: nothing to say here, the service's ``profile`` has it all."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def compiled(query: str) -> Any:
    """Return a JMESPath query, ready to search.

    :raises SpecError: when JMESPath cannot read it.
    """
    try:
        return jmespath.compile(query)
    except JMESPathError as error:
        raise SpecError(
            f"JMESPath cannot read it: {error}",
            where="service.profile.query",
            remedy="correct the query",
        ) from None


class ProfileCapture:
    """Asks the service for its workload profile."""

    def __init__(self, options: Mapping[str, Any], timeout: float = 2.0) -> None:
        read_options("profile", options, ProfileOptions)
        self._timeout = timeout

    def capture(self, scene: Scene) -> Findings:
        """Fetch, query and check the profile.

        A service that does not answer leaves a note and no profile: its files move all the same.

        :raises SpecError: without ``service.profile``, and for a query that JMESPath cannot read.
        """
        spec = scene.service.profile
        if spec is None:
            raise SpecError(
                "there is nothing to ask for it",
                where="state of kind profile",
                remedy="give the service a profile with url and query",
            )
        query = compiled(spec.query)
        try:
            rows = _rows(query.search(self._fetch(spec, scene.values)))
        except (OSError, ValueError, JMESPathError) as error:
            note = f"the workload profile was not captured: {_line(error)}"
            return Findings(notes=(note,), unchanged=True)
        return Findings(profile=rows, unchanged=True)

    def _fetch(self, spec: ProfileSpec, values: Mapping[str, str]) -> Any:
        url = spec.url
        for name, value in values.items():
            url = url.replace("{" + name + "}", value)
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url} is not an http or https address")
        with urllib.request.urlopen(url, timeout=self._timeout) as reply:
            body = reply.read(_LARGEST + 1)
        if len(body) > _LARGEST:
            raise ValueError(f"{url} answers more than {_LARGEST} bytes")
        return json.loads(body)


def _rows(answer: Any) -> tuple[dict[str, Any], ...]:
    """Return the checked rows, by request kind, with their share of all requests filled in.

    :raises ValueError: when the query did not give a list of ``{kind, rate, latency}``.
    """
    if not isinstance(answer, list) or len(answer) > _MOST_ROWS:
        raise ValueError(f"its query must give a list of at most {_MOST_ROWS} request kinds")
    rows = [_row(row) for row in answer]
    total = sum(row["rate"] for row in rows)
    for row in rows:
        row.setdefault("share", row["rate"] / total if total else 0.0)
    return tuple(sorted(rows, key=lambda row: str(row["kind"])))


def _row(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping) or not {"kind", "rate", "latency"} <= row.keys():
        raise ValueError("its query must give rows with kind, rate and latency")
    out: dict[str, Any] = {"kind": str(row["kind"])}
    for name in _NUMBERS:
        value = row.get(name)
        if value is None and name in {"p99", "share"}:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"its {name} of {out['kind']} is not a number")
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"its {name} of {out['kind']} is not a number from zero on")
        out[name] = float(value)
    return out


def _line(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(reason).split())
