"""Requests to AWS as tests see them, whichever protocol a service speaks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl
from xml.etree import ElementTree

_SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9]+)/aws4_request")
_RECORDS = re.compile(r"^/2013-04-01/(.+?)/?$")
_ROUTE53 = {
    ("GET", "hostedzone", "rrset"): "ListResourceRecordSets",
    ("POST", "hostedzone", "rrset"): "ChangeResourceRecordSets",
    ("GET", "change", ""): "GetChange",
    ("GET", "healthcheck", "status"): "GetHealthCheckStatus",
    ("GET", "hostedzone", ""): "GetHostedZone",
    ("POST", "hostedzone", ""): "CreateHostedZone",
    ("DELETE", "hostedzone", ""): "DeleteHostedZone",
}

_S3 = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_NAMES = {"monitoring": "cloudwatch"}
"""What policies call a service that signs by another name."""


@dataclass(frozen=True)
class Call:
    """One request.

    :ivar service: as policies name it: ``elasticloadbalancing``.
    :ivar form: the parameters of the query protocols, flat: ``Targets.member.1.Id``.
    :ivar data: the parsed body of the others.
    """

    service: str
    action: str
    path: str
    form: Mapping[str, str]
    data: Any = None

    @property
    def permission(self) -> str:
        """Return what a policy has to allow for it."""
        return f"{self.service}:{self.action}"

    @property
    def writes(self) -> bool:
        """Return whether it may change something."""
        return not self.action.startswith(("Describe", "List", "Get"))

    def members(self, name: str) -> list[str]:
        """Return a list of plain values of a query protocol."""
        member = re.compile(rf"^{name}\.(?:member\.)?\d+$")
        return [value for key, value in self.form.items() if member.match(key)]


def call_of(environ: Mapping[str, Any], body: bytes) -> Call:
    """Return the call that a WSGI request is; ``action`` is empty for what is none."""
    found = _SERVICE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = found.group(1) if found else ""
    path = environ.get("PATH_INFO", "/")
    if service == "route53":
        query = {k: v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
        data = ElementTree.fromstring(body) if body.strip() else None
        return Call(service, _route53_action(environ["REQUEST_METHOD"], path), path, query, data)
    if service == "s3":
        return Call(service, _S3.get(environ["REQUEST_METHOD"], ""), path, {})
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return Call(
            _NAMES.get(service, service),
            target.rpartition(".")[2],
            path,
            {},
            json.loads(body or b"{}"),
        )
    if "/operation/" in path:
        return Call(_NAMES.get(service, service), path.rpartition("/")[2], path, {}, body)
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return Call(service, form.get("Action", ""), path, form)


def _route53_action(method: str, path: str) -> str:
    found = _RECORDS.match(path)
    parts = found.group(1).split("/") if found else []
    kind, last = (parts[0], parts[2] if len(parts) > 2 else "") if parts else ("", "")
    return _ROUTE53.get((method, kind, last), "")
