"""A listener's actions, told in hosts; and a claim, told in the value of a tag."""

from __future__ import annotations

from typing import Any

import pytest

from foreshadow.directors.elbv2_claim import Claim, claimed
from foreshadow.directors.elbv2_options import parse_options
from foreshadow.directors.elbv2_view import Forward
from foreshadow.domain.errors import DirectorError, FencedError, SpecError
from foreshadow.domain.spec import DirectorSpec

GROUP = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{}/0123456789abcdef"
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/web/0123/4567"
OIDC = {"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"ClientId": "shop"}, "Order": 1}


def forward(**weights: int) -> dict[str, Any]:
    groups = [{"TargetGroupArn": GROUP.format(k), "Weight": v} for k, v in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}, "Order": 2}


def view(*actions: dict[str, Any], **targets: str) -> Forward:
    return Forward(DirectorSpec(kind="elbv2", targets=targets), actions)


def test_hosts_are_target_groups_by_name_or_arn() -> None:
    seen = view(
        forward(blue=3, green=1, spare=0), **{"edge-a": "blue", "edge-b": GROUP.format("green")}
    )
    assert seen.told() == {"edge-a": 3, "edge-b": 1, "spare": 0}
    assert seen.weights() == {"edge-a": 75, "edge-b": 25}


def test_only_weights_change_and_a_secret_that_is_not_shown_is_kept() -> None:
    seen = view(OIDC, forward(a=1, b=0))
    oidc, changed = seen.with_weights({"b": 100})
    assert oidc["AuthenticateOidcConfig"] == {"ClientId": "shop", "UseExistingClientSecret": True}
    assert changed["Order"] == 2
    weights = [entry["Weight"] for entry in changed["ForwardConfig"]["TargetGroups"]]
    assert weights == [0, 100]
    assert seen.told() == {"a": 1, "b": 0}, "what was seen stays as it was seen"


def test_a_single_target_group_in_short_form_has_all_traffic() -> None:
    seen = view({"Type": "forward", "TargetGroupArn": GROUP.format("a")})
    assert seen.weights() == {"a": 100}
    (changed,) = seen.with_weights({"a": 100})
    assert "TargetGroupArn" not in changed


def test_an_action_that_does_not_forward_is_refused() -> None:
    with pytest.raises(DirectorError, match="does not forward"):
        view({"Type": "redirect"}).weights()


def test_stickiness_between_groups_is_drift() -> None:
    action = forward(a=100)
    action["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": True}
    assert "stickiness" in view(action).drift()
    assert view(forward(a=100)).drift() == ""


@pytest.mark.parametrize(
    "claim", [Claim(7), Claim(12, {"edge-a": 100}), Claim(1, {"a": 1, "b.c": 9})]
)
def test_a_claim_is_read_as_it_was_written(claim: Claim) -> None:
    assert claimed(claim.text()) == claim


def test_a_claim_fits_into_a_tag_and_nonsense_claims_nothing() -> None:
    many = Claim(7, {f"{'h' * 60}{i}": 20 for i in range(5)})
    assert len(many.text()) <= 256
    assert claimed(many.text()).token == 7
    for nonsense in ("", "x", "-1", "7 edge-a", "seven edge-a=1"):
        assert claimed(nonsense) == Claim(0)


def test_an_older_token_is_late() -> None:
    Claim(7).refuse_older(7, "here")
    with pytest.raises(FencedError, match="token 6 is late: 7"):
        Claim(7).refuse_older(6, "here")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "name exactly one of listener and rule"),
        ({"listener": LISTENER, "rule": LISTENER}, "rule"),
        ({"listener": "web"}, "listener: 'web' is not"),
        ({"listener": LISTENER, "region": "us-east-1"}, "not that of the ARN: leave region out"),
        ({"listener": LISTENER, "listner": 1}, "unknown key"),
    ],
)
def test_options_are_refused_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_options(DirectorSpec.model_validate({"kind": "elbv2", **options}), "checkout")
    assert said in str(caught.value).replace("; ", ": ")
    assert "resource checkout, director elbv2" in str(caught.value)
