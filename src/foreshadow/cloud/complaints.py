"""What AWS complains about, as one line for a person; and whether a request may have been done.

Nothing here imports boto3: its errors are told by their class names, and by the codes in them.
"""

from __future__ import annotations

from enum import Enum

from foreshadow.domain.errors import (
    AccessError,
    ForeshadowError,
    NoCapacityError,
    RefusedError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)

_LONGEST = 200
_THROTTLED = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "SlowDown",
    "RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException",
    "BandwidthLimitExceeded", "PriorRequestNotComplete", "EC2ThrottledException",
}  # fmt: skip
_DENIED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError",
    "NotAuthorized", "UnauthorizedAccess",
}  # fmt: skip
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_CREDENTIALS = {
    "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId",
    "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
}  # fmt: skip
_NO_CAPACITY = {
    "InsufficientInstanceCapacity", "InsufficientHostCapacity", "Unsupported",
    "InsufficientReservedInstanceCapacity", "InsufficientFreeAddressesInSubnet",
}  # fmt: skip
_QUOTA = {"ResourceCountExceeded", "LimitsExceeded", "TooManyTags", "TooManyTargets"}
_BROKEN = {"InternalFailure", "InternalError", "InternalServerError", "ServiceUnavailable",
           "Unavailable", "RequestTimeout", "RequestTimeoutException"}  # fmt: skip
_BROKE_OFF = {"HTTPClientError", "ResponseParserError", "IncompleteReadError"}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
_SERVER_ERROR = 500


class Done(Enum):
    """What is known about a request that failed."""

    NO = "it was refused, and changed nothing"
    LATER = "it was refused for now, and changed nothing"
    PERHAPS = "no reply came, or none that tells"


def code_of(error: Exception) -> str:
    """Return the code that AWS gave, or an empty text when it gave none."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def done(error: Exception) -> Done:
    """Return whether the request of an error may have been done."""
    code = code_of(error)
    if code in _THROTTLED:
        return Done.LATER
    if code in _BROKEN or (code and _status(error) >= _SERVER_ERROR):
        return Done.PERHAPS
    if code:
        return Done.NO
    names = _names(error)
    if "ConnectionError" in names:
        return Done.LATER  # botocore's: the connection was not made
    return Done.PERHAPS if names & _BROKE_OFF else Done.NO


def explain(error: Exception, action: str, where: str, region: str | None) -> ForeshadowError:
    """Return an error of boto3 as one of ours.

    :param action: as policies name it: ``elasticloadbalancing:ModifyListener``.
    :param where: the thing that it is about.
    :param region: which one was asked, if that is known.
    """
    code, names = code_of(error), _names(error)
    there = region or "its region"
    if not code:
        return _without_code(error, names, action, where, there)
    if code in _THROTTLED:
        return UnreachableError(
            f"AWS keeps throttling {action} ({code})",
            where=where,
            remedy="nothing was changed by it; run again later, or ask AWS for a higher rate",
        )
    if code in _DENIED:
        return AccessError(
            f"the credentials may not do {action}",
            where=where,
            remedy="allow it in their policy; docs/aws.md has one with just what is needed",
        )
    if code in _EXPIRED or code in _UNKNOWN_CREDENTIALS:
        said = "have expired" if code in _EXPIRED else f"are not known to AWS ({code})"
        return AccessError(
            f"the credentials {said}, so {action} was refused",
            where=where,
            remedy="get new ones, and check the clock of this machine",
        )
    if code == "OptInRequired":
        return AccessError(
            f"the account has not opted in to {there}",
            where=where,
            remedy="enable it, or set region",
        )
    return _about_the_request(error, code, action, where, there)


def _about_the_request(
    error: Exception, code: str, action: str, where: str, there: str
) -> ForeshadowError:
    if code in _NO_CAPACITY:
        return NoCapacityError(
            f"AWS has no capacity there for {action} ({code}: {_said(error)})",
            where=where,
            remedy="nothing was made; take the next host of the ranking, in another zone",
        )
    if code in _QUOTA or code.endswith("LimitExceeded"):
        return NoCapacityError(
            f"a quota of the account is used up: {action} ({code})",
            where=where,
            remedy="nothing was made; raise the quota, or remove what is not used",
        )
    if code.startswith("NoSuch") or code.endswith(("NotFound", ".NotFound", ".Malformed")):
        return UnknownNameError(
            f"{_said(error)} ({action} in {there})",
            where=where,
            remedy="check its id, and that region and account are the right ones",
        )
    if code in _BROKEN or _status(error) >= _SERVER_ERROR:
        return UnreachableError(
            f"AWS failed to do {action} ({code})", where=where, remedy="run again later"
        )
    return RefusedError(f"AWS refused {action} ({code}: {_said(error)})", where=where)


def _without_code(
    error: Exception, names: set[str], action: str, where: str, there: str
) -> ForeshadowError:
    if names & _NO_CREDENTIALS:
        return AccessError(
            "there are no credentials for AWS",
            where=where,
            remedy="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the "
            "machine a role",
        )
    if "ProfileNotFound" in names:
        return AccessError(
            _said(error), where=where, remedy="name a profile of ~/.aws/config, or none"
        )
    if "NoRegionError" in names:
        return SpecError("no region is named", where=where, remedy="set region, or AWS_REGION")
    if "ParamValidationError" in names:
        return SpecError(f"{action} cannot be asked so: {_said(error)}", where=where)
    return UnreachableError(
        f"AWS in {there} did not answer {action} ({_said(error)})",
        where=where,
        remedy="check network, region and endpoint",
    )


def _names(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _status(error: Exception) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _said(error: Exception) -> str:
    response = getattr(error, "response", None)
    text = response.get("Error", {}).get("Message") if isinstance(response, dict) else None
    return " ".join(str(text or error).split())[:_LONGEST].rstrip(". ")
