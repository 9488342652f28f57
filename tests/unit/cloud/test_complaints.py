"""What AWS complains about is told in one line, with what to do about it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    ReadTimeoutError,
)

from foreshadow.cloud.complaints import Done, done, explain
from foreshadow.domain.errors import (
    AccessError,
    ForeshadowError,
    NoCapacityError,
    RefusedError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)


def refused(code: str, said: str = "no", status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": said},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "RunInstances")


CASES: list[tuple[Exception, type[ForeshadowError], str, Done]] = [
    (refused("Throttling"), UnreachableError, "keeps throttling ec2:RunInstances", Done.LATER),
    (refused("RequestLimitExceeded", status=503), UnreachableError, "throttling", Done.LATER),
    (refused("PriorRequestNotComplete"), UnreachableError, "throttling", Done.LATER),
    (refused("UnauthorizedOperation"), AccessError, "may not do ec2:RunInstances", Done.NO),
    (refused("AccessDenied", status=403), AccessError, "allow it in their policy", Done.NO),
    (refused("ExpiredToken"), AccessError, "credentials have expired", Done.NO),
    (refused("InvalidClientTokenId"), AccessError, "are not known to AWS", Done.NO),
    (refused("OptInRequired"), AccessError, "not opted in to eu-west-1", Done.NO),
    (refused("InsufficientInstanceCapacity"), NoCapacityError, "next host of the ranking", Done.NO),
    (refused("VcpuLimitExceeded"), NoCapacityError, "a quota of the account is used up", Done.NO),
    (refused("ListenerNotFound", "One or more"), UnknownNameError, "in eu-west-1", Done.NO),
    (refused("InvalidInstanceID.NotFound"), UnknownNameError, "check its id", Done.NO),
    (refused("InternalError", status=500), UnreachableError, "AWS failed to do", Done.PERHAPS),
    (refused("Strange", status=502), UnreachableError, "AWS failed to do", Done.PERHAPS),
    (refused("InvalidParameterValue", "x\ny"), RefusedError, "refused ec2:RunInstances", Done.NO),
    (NoCredentialsError(), AccessError, "no credentials for AWS; set AWS_PROFILE", Done.NO),
    (ProfileNotFound(profile="ops"), AccessError, "(ops) could not be found", Done.NO),
    (NoRegionError(), SpecError, "no region is named; set region", Done.NO),
    (ReadTimeoutError(endpoint_url="http://x"), UnreachableError, "did not answer", Done.PERHAPS),
    (ConnectTimeoutError(endpoint_url="http://x"), UnreachableError, "check network", Done.LATER),
    (EndpointConnectionError(endpoint_url="http://x"), UnreachableError, "region", Done.LATER),
]


@pytest.mark.parametrize(
    ("error", "kind", "said", "known"), CASES, ids=[str(case[0])[:70] for case in CASES]
)
def test_each_complaint_is_one_line_of_its_kind(
    error: Exception, kind: type[ForeshadowError], said: str, known: Done
) -> None:
    told = explain(error, "ec2:RunInstances", "host edge-a", "eu-west-1")
    assert type(told) is kind
    assert said in str(told)
    assert str(told).startswith("host edge-a: ")
    assert "\n" not in str(told)
    assert done(error) is known


def test_a_long_complaint_is_cut() -> None:
    told = explain(refused("Strange", "blah " * 200), "ec2:RunInstances", "host edge-a", None)
    assert len(str(told)) < 300
