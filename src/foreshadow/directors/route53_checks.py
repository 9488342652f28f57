"""Whether a record leads to a host that is well: as Route 53 checks it, or as we see it."""

from __future__ import annotations

from typing import Any

from foreshadow.cloud.aws import Aws
from foreshadow.directors.checks import CheckOptions, failure
from foreshadow.domain.clock import WallTime

_NEEDED_SHARE = 0.18
"""Route 53 takes an endpoint for well when more than this share of its checkers do."""


def problem_of(
    aws: Aws, record: dict[str, Any], check: CheckOptions, name: str, since: WallTime
) -> str:
    """Return why a record's host is not well; an empty text when it is.

    :param name: the record's, which the service is asked for.
    :param since: checks before it do not count.
    """
    if "HealthCheckId" in record:
        return _checkers(aws, record["HealthCheckId"], since)
    values = [one["Value"] for one in record.get("ResourceRecords", ())]
    named = values or [record["AliasTarget"]["DNSName"]]
    said = (failure(str(value).rstrip("."), check, name) for value in named)
    return next((problem for problem in said if problem), "")


def _checkers(aws: Aws, check_id: str, since: WallTime) -> str:
    reply = aws.read("route53", "GetHealthCheckStatus", HealthCheckId=check_id)
    reports = [one["StatusReport"] for one in reply["HealthCheckObservations"]]
    new = [one for one in reports if one["CheckedTime"].timestamp() > since]
    well = [one for one in new if one["Status"].startswith("Success")]
    if new and len(well) > _NEEDED_SHARE * len(reports):
        return ""
    return f"{len(well)} of {len(reports)} checkers of Route 53 have seen it well since its start"
