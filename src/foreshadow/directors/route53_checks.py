"""Whether a record leads to a host that is well: as Route 53 checks it, or as we see it."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

from foreshadow.cloud.aws import Aws
from foreshadow.directors.route53_options import CheckOptions
from foreshadow.domain.clock import WallTime

_GOOD = range(200, 400)
_NEEDED_SHARE = 0.18
"""Route 53 takes an endpoint for well when more than this share of its checkers do."""


def passes(aws: Aws, record: dict[str, Any], check: CheckOptions, since: WallTime) -> str:
    """Return why a record's host is not well; an empty text when it is.

    :param since: checks before it do not count.
    """
    if "HealthCheckId" in record:
        return _checkers(aws, record["HealthCheckId"], since)
    values = [one["Value"] for one in record.get("ResourceRecords", ())]
    named = values or [record["AliasTarget"]["DNSName"]]
    problems = [_probe(str(value).rstrip("."), check) for value in named]
    return next((problem for problem in problems if problem), "")


def _checkers(aws: Aws, check_id: str, since: WallTime) -> str:
    reply = aws.read("route53", "GetHealthCheckStatus", HealthCheckId=check_id)
    reports = [one["StatusReport"] for one in reply["HealthCheckObservations"]]
    new = [one for one in reports if one["CheckedTime"].timestamp() > since]
    well = [one for one in new if one["Status"].startswith("Success")]
    if new and len(well) > _NEEDED_SHARE * len(reports):
        return ""
    return f"{len(well)} of {len(reports)} checkers of Route 53 have seen it well since its start"


def _probe(address: str, check: CheckOptions) -> str:
    try:
        if check.path is None:
            socket.create_connection((address, check.port), check.timeout).close()
            return ""
        status = _ask(address, check, check.path)
    except (OSError, http.client.HTTPException) as error:
        return f"{address}:{check.port} does not answer ({str(error) or type(error).__name__})"
    return "" if status in _GOOD else f"{address}:{check.port}{check.path} answers {status}"


def _ask(address: str, check: CheckOptions, path: str) -> int:
    if check.tls:  # the certificate is for the record's name, not for this address
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, check.port, timeout=check.timeout, context=context
        )
    else:
        client = http.client.HTTPConnection(address, check.port, timeout=check.timeout)
    try:
        client.request("GET", path)
        return client.getresponse().status
    finally:
        client.close()
