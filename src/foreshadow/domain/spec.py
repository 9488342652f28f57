"""What a person writes about a resource: the spec, validated and with its defaults filled in.

:func:`parse_resource` turns one entry of ``foreshadow_resources`` into a :class:`ResourceSpec`, or
says in one line what is wrong, where, and what to write instead. Entries of ``state``,
``directors`` and ``metrics.sources`` may carry keys of their own: the driver that owns the ``kind``
reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from foreshadow.domain.clock import MetricClock, MetricTime, WallTime, parse_instant
from foreshadow.domain.hooks import HooksSpec, Text, Words
from foreshadow.domain.policy import PolicyMode as PolicyMode
from foreshadow.domain.policy import PolicySpec as PolicySpec
from foreshadow.domain.problems import first_problem, not_a_mapping
from foreshadow.domain.strict import STRICT
from foreshadow.domain.units import BytesPerSecond, Seconds
from foreshadow.domain.windows import EventSpec, WindowSpec

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Instant = Annotated[float, BeforeValidator(parse_instant)]
Time = Annotated[Seconds, Field(gt=0)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _Strict(BaseModel):
    """A part of the spec whose keys are all known: a typing error is refused."""

    model_config = STRICT


class _Open(BaseModel):
    """A part of the spec that a driver may extend with keys of its own."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    def options(self) -> dict[str, Any]:
        """Return the driver's own keys."""
        return dict(self.model_extra or {})


class Mode(StrEnum):
    """How a shadow waits: created only, started and frozen, or running out of traffic."""

    COLD = "cold"
    WARM = "warm"
    HOT = "hot"


class HealthSpec(_Strict):
    """How an instance shows that it is well: ``path`` (HTTP 2xx/3xx), ``tcp`` or ``command``."""

    path: str | None = None
    tcp: bool = False
    command: Words = ()
    successes: Annotated[int, Field(ge=1, le=100)] = 3
    timeout: Time = 2.0
    start_timeout: Time = 30.0

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum((self.path is not None, self.tcp, bool(self.command))) != 1:
            raise ValueError("name exactly one of path, tcp or command")
        return self


class DrainSpec(_Strict):
    """How the primary tells that it has nothing left to do.

    ``service`` asks the service itself: an HTTP path that answers a number, or JSON with
    ``in_flight``. ``sockets`` counts established connections of its port.
    """

    source: Literal["service", "sockets"] = "sockets"
    path: str | None = None
    timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _path_for_service(self) -> Self:
        if self.source == "service" and not self.path:
            raise ValueError(
                "source service needs a path: name the one that tells the requests in flight"
            )
        return self


class ProfileSpec(_Strict):
    """Where the service tells its workload, and the JMESPath that shapes it.

    The query must give a list of ``{kind, rate, latency}``, and may add ``p99`` and ``share``;
    rates per second, latencies in seconds.
    """

    url: str
    query: str


class ServiceSpec(_Strict):
    """What runs: a process from ``command``, on ``port`` of its host's address.

    ``{address}``, ``{port}``, ``{state}`` and ``{host}`` are filled in, in the command, the
    environment, the hooks and the profile's URL.
    """

    command: Annotated[Words, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    user: str | None = None
    pid_file: str | None = None
    environment: dict[Variable, Text] = {}
    health: HealthSpec = HealthSpec(tcp=True)
    drain: DrainSpec = DrainSpec()
    hooks: HooksSpec = HooksSpec()
    profile: ProfileSpec | None = None
    stop_timeout: Seconds = 10.0

    @model_validator(mode="before")
    @classmethod
    def _no_units_yet(cls, raw: object) -> object:
        if isinstance(raw, Mapping) and "unit" in raw:
            raise ValueError(
                "systemd units are not supported by this version: give the service's command, "
                "and pid_file if it already runs"
            )
        return raw


class CandidatesSpec(_Strict):
    """Where a shadow may stand: members of these groups, or these hosts; empty means all."""

    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class ShadowsSpec(_Strict):
    """How many shadows, in which mode, and where they may stand."""

    count: Annotated[int, Field(ge=0, le=16)] = 1
    mode: Mode = Mode.WARM
    candidates: CandidatesSpec = CandidatesSpec()
    spread: Literal["zone"] | None = None
    release: str | None = None


class DeploySpec(_Strict):
    """How the application gets onto a host: a role that the playbooks include."""

    role: str | None = None


class StateSpec(_Open):
    """One kind of state; the capture that owns ``kind`` reads the other keys."""

    kind: Name


class SyncSpec(_Strict):
    """How often state moves, how old it may get, and how much of the link it may use."""

    interval: Seconds = 5.0
    max_staleness: Seconds = 30.0
    bandwidth: BytesPerSecond | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.interval <= 0:
            raise ValueError("interval must be more than zero")
        if self.max_staleness < self.interval:
            raise ValueError("max_staleness is shorter than the interval, so it would never hold")
        return self


class DirectorSpec(_Open):
    """One director; the driver that owns ``kind`` reads the other keys.

    ``targets`` maps a host to its server line, target group or record data; a host that is not
    in it is known to the director by its own name.
    """

    kind: Name
    targets: dict[str, str] = {}

    def target(self, host: str) -> str:
        """Return the name that this director has for a host."""
        return self.targets.get(host, host)


class ClockSpec(_Strict):
    """How a source's metric time runs; the default is real time."""

    origin: Instant = 0.0
    started: Instant = 0.0
    rate: Annotated[float, Field(gt=0)] = 1.0

    def clock(self) -> MetricClock:
        """Return the clock."""
        return MetricClock(MetricTime(self.origin), WallTime(self.started), self.rate)


class SourceSpec(_Open):
    """One metric source; the driver that owns ``kind`` reads the other keys."""

    kind: Name


Unit = Literal["ratio", "percent", "seconds", "milliseconds", "cores", "bytes", "per_second"]

FITTING_UNITS: dict[str, tuple[Unit, ...]] = {
    "utilization": ("ratio", "percent"),
    "latency": ("seconds", "milliseconds"),
    "cpu": ("cores",),
    "memory": ("bytes",),
    "rate": ("per_second",),
}
"""The units in which each metric may be declared."""


class MetricSpec(_Strict):
    """One metric: what to ask the source for, and the unit of the answer.

    The unit is declared, so that a percentage is never taken for a ratio; values become base
    units (ratio, seconds) before anything looks at them.
    """

    query: Annotated[str, Field(min_length=1)]
    unit: Unit


class MetricsSpec(_Strict):
    """Where the metrics of a resource come from.

    ``sources`` are asked in order and laid over one another, later ones on top. A single source
    may be written in place: ``url`` means ``prometheus``. Without ``utilization``, utilization is
    demand over the capacity of the host that carries the resource.
    """

    sources: tuple[SourceSpec, ...] = ()
    step: Time = 300.0
    history: Time = 14 * 86400.0
    clock: ClockSpec = ClockSpec()
    utilization: MetricSpec | None = None
    latency: MetricSpec | None = None
    demand: dict[Literal["cpu", "memory", "rate"], MetricSpec] = {}

    @model_validator(mode="before")
    @classmethod
    def _source_in_place(cls, raw: object) -> object:
        if not isinstance(raw, Mapping) or "url" not in raw:
            return raw
        if "sources" in raw:
            raise ValueError("give either url or sources, not both")
        rest = {key: value for key, value in raw.items() if key != "url"}
        return {**rest, "sources": [{"kind": "prometheus", "url": raw["url"]}]}

    @model_validator(mode="after")
    def _units_fit(self) -> Self:
        named = {"utilization": self.utilization, "latency": self.latency}
        for name, metric in [*named.items(), *self.demand.items()]:
            if metric is not None and metric.unit not in FITTING_UNITS[name]:
                fitting = " or ".join(FITTING_UNITS[name])
                raise ValueError(f"{name} cannot be in {metric.unit}: declare {fitting}")
        return self


class TriggersSpec(_Strict):
    """When a forecast asks for a switch; a threshold that is null never does.

    ``latency_increase`` is (predicted - baseline) / baseline; ``latency`` is an absolute limit.
    """

    horizon: Time = 1800.0
    utilization: Annotated[float, Field(gt=0, le=1)] | None = 0.8
    latency_increase: Annotated[float, Field(gt=0)] | None = 0.5
    latency: Seconds | None = None
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    false_alarms_per_week: Annotated[float, Field(gt=0)] = 1.0


class WeightsSpec(_Strict):
    """What a person wants the three affinity terms to weigh; normalised to sum to 1."""

    load_similarity: Annotated[float, Field(ge=0)] = 0.3
    network_proximity: Annotated[float, Field(ge=0)] = 0.2
    availability: Annotated[float, Field(ge=0)] = 0.5

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.load_similarity + self.network_proximity + self.availability <= 0:
            raise ValueError("at least one weight must be more than zero")
        return self


class PlacementSpec(_Strict):
    """What ranks hosts, and what rules them out.

    ``labels`` are host labels that must match; ``anti_affinity`` names resources whose primary or
    shadow must not be on the same host. ``failure_domain`` is what hosts fail together by:
    ``zone``, or the name of a label; null: hosts fail alone.
    """

    weights: WeightsSpec = WeightsSpec()
    labels: dict[str, str] = {}
    anti_affinity: tuple[str, ...] = ()
    failure_domain: Text | None = "zone"


class ResourceSpec(_Strict):
    """A service with one primary: what is forecast, shadowed and moved."""

    name: Name
    primary: Name
    service: ServiceSpec
    shadows: ShadowsSpec = ShadowsSpec()
    deploy: DeploySpec = DeploySpec()
    state: tuple[StateSpec, ...] = ()
    sync: SyncSpec = SyncSpec()
    directors: tuple[DirectorSpec, ...] = ()
    metrics: MetricsSpec = MetricsSpec()
    triggers: TriggersSpec = TriggersSpec()
    placement: PlacementSpec = PlacementSpec()
    policy: PolicySpec = PolicySpec()
    events: tuple[EventSpec, ...] = ()

    @property
    def blackouts(self) -> tuple[WindowSpec, ...]:
        """Return when nothing is switched by itself: by the policy, and by planned events."""
        return (*self.policy.blackouts, *self.events)

    @model_validator(mode="after")
    def _hooks_for_a_pause(self) -> Self:
        hooks = self.service.hooks
        if self.policy.pause_writes and not (hooks.fence and hooks.promote):
            raise ValueError(
                "policy.pause_writes needs service.hooks.fence, after which the service writes "
                "nothing, and service.hooks.promote, after which it does again"
            )
        return self

    def plain(self) -> dict[str, Any]:
        """Return the spec with its defaults filled in, as JSON types."""
        return self.model_dump(mode="json")


def merged(defaults: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``raw`` over ``defaults``: mappings are merged key by key, all else replaces."""
    out = dict(defaults)
    for key, value in raw.items():
        below = out.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        out[key] = value
    return out


def parse_resource(raw: object, defaults: Mapping[str, Any] | None = None) -> ResourceSpec:
    """Return the spec of one resource.

    :raises SpecError: in one line, with the place in the spec and the way out.
    """
    if not isinstance(raw, Mapping):
        raise not_a_mapping("resource", raw)
    try:
        return ResourceSpec.model_validate(merged(defaults or {}, raw))
    except ValidationError as error:
        name = raw.get("name") if isinstance(raw.get("name"), str) else "without a name"
        raise first_problem(error, f"resource {name}", ResourceSpec) from None
