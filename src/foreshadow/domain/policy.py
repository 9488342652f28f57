"""What may be done about a verdict, how, and when: the policy section of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from foreshadow.domain.strict import STRICT
from foreshadow.domain.units import Seconds
from foreshadow.domain.windows import WindowSpec


class PolicyMode(StrEnum):
    """Who may switch: nobody, a person who approves a plan, or the decision itself."""

    FORECAST_ONLY = "forecast_only"
    MANUAL = "manual"
    AUTOMATIC = "automatic"


class SoakLimits(BaseModel):
    """By how much a shadow may serve clients worse than the primary while it soaks.

    Counted by the directors, where they count: HAProxy does. What is null is not compared.

    :ivar errors: share of requests that fail, above the primary's share.
    :ivar latency_increase: (the shadow's - the primary's) / the primary's mean seconds to the first
        byte; ``latency_slack`` is added, for what lies in the noise.
    :ivar requests: below so many nothing is said about either.
    """

    model_config = STRICT

    errors: Annotated[float, Field(ge=0, le=1)] | None = 0.01
    latency_increase: Annotated[float, Field(ge=0)] | None = 0.5
    latency_slack: Seconds = 0.025
    requests: Annotated[int, Field(ge=1)] = 20


class PolicySpec(BaseModel):
    """What may be done about a verdict, how, and when.

    ``windows`` are when switching is allowed, at any time when there are none; ``blackouts`` are
    when it is not, whatever the windows say. While a shadow soaks it may serve clients worse than
    the primary by ``soak_limits``. ``pause_writes`` is for a single writer: new requests are held
    while the state is handed over, for ``pause_limit`` at most, and then all traffic moves at once.
    ``max_moves_per_day`` counts over the whole ledger. Two moves back within ``flap_window`` close
    automation for the resource until a person has acknowledged them. A host that was left within it
    is gone back to only when utilization there would stay below the threshold by a share of
    ``hysteresis``.
    """

    model_config = STRICT

    mode: PolicyMode = PolicyMode.FORECAST_ONLY
    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1)] = (
        10,
        50,
        100,
    )
    soak: Seconds = 10.0
    soak_limits: SoakLimits = SoakLimits()
    pause_writes: bool = False
    pause_limit: Annotated[Seconds, Field(gt=0)] = 5.0
    cooldown: Seconds = 1800.0
    windows: tuple[WindowSpec, ...] = ()
    blackouts: tuple[WindowSpec, ...] = ()
    max_concurrent: Annotated[int, Field(ge=1)] = 2
    drill_max_age: Seconds | None = 30 * 86400.0
    min_stay: Seconds = 0.0
    max_moves_per_day: Annotated[int, Field(ge=1)] | None = 24
    flap_window: Seconds = 6 * 3600.0
    hysteresis: Annotated[float, Field(ge=0, lt=1)] = 0.15

    @model_validator(mode="before")
    @classmethod
    def _all_at_once(cls, raw: object) -> object:
        if isinstance(raw, Mapping) and raw.get("pause_writes") in (True, "true", "yes", "on"):
            return {**raw, "steps": [100], "soak": 0}
        return raw

    @model_validator(mode="after")
    def _rising_to_all(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 100:
            raise ValueError("steps must rise and end at 100, such as [10, 50, 100]")
        return self
