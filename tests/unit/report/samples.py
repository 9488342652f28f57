"""A day in the life of one resource, as facts for a report."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from foreshadow.domain.clock import MetricTime, WallTime, isoformat
from foreshadow.domain.fleet import Acknowledged, Instance
from foreshadow.domain.moves import Outcome, Plan, Seen, StepRecord, StepState, Switchover
from foreshadow.domain.outcomes import Observed
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.report.clients import Age, Clients, Interval, Run
from foreshadow.report.facts import Facts, ResourceFacts, Trajectory

HOUR = 3600.0
ORIGIN = 1_502_668_800.0  # 2017-08-14T00:00:00Z, a Monday
STARTED = 1_795_000_000.0
RATE = 120.0
DECIDED = ORIGIN + 5 * HOUR
MOVED_WALL = STARTED + 5 * HOUR / RATE + 6.0
BREACH = ORIGIN + 6.6 * HOUR

STEPS = (("preflight", 0.22), ("final_sync", 0.41), ("activate", 0.18), ("shift_10", 1.3),
         ("shift_50", 1.3), ("shift_100", 1.2), ("verify", 0.35), ("drain", 0.62),
         ("commit", 0.02), ("demote", 0.3))  # fmt: skip


def spec(name: str = "checkout", **keys: Any) -> ResourceSpec:
    raw = {
        "name": name,
        "primary": "edge-a",
        "service": {"command": ["serve"], "port": 8080},
        "shadows": {"count": 2},
        "triggers": {"latency": "250ms"},
        "policy": {"mode": "automatic"},
        "metrics": {"clock": {"origin": ORIGIN, "started": STARTED, "rate": RATE}},
    }
    return parse_resource({**raw, **keys})


def load(at: float) -> float:
    """Return the utilization of the first host: quiet at night, a rush in the morning."""
    hour = (at - ORIGIN) / HOUR
    rush = math.exp(-(((hour - 8.0) / 1.6) ** 2))
    return 0.16 + 0.95 * rush + 0.02 * math.sin(hour * 9.0)


def trajectory() -> Trajectory:
    step = HOUR / 6
    seen = tuple((MetricTime(ORIGIN + i * step), load(ORIGIN + i * step)) for i in range(-40, 31))
    ahead = [DECIDED + i * step for i in range(1, 19)]
    middle = tuple((MetricTime(at), load(at) * 0.99) for at in ahead)
    wide = [0.02 + 0.006 * i for i in range(18)]
    return Trajectory(
        "utilization", "ratio", MetricTime(DECIDED), seen, middle,
        tuple((at, value - w) for (at, value), w in zip(middle, wide, strict=True)),
        tuple((at, value + w) for (at, value), w in zip(middle, wide, strict=True)),
        0.8, MetricTime(BREACH),
    )  # fmt: skip


def switchover(**keys: Any) -> Switchover:
    seen = Seen("d1", "edge-a", "edge-c", ((("edge-a", 100),),), "frozen")
    names = tuple(name for name, _ in STEPS)
    plan = Plan("checkout", seen, names, (10, 50, 100), 1.0, False, False, "d-42", WallTime(0.0))
    at, steps = MOVED_WALL, []
    for name, seconds in STEPS:
        steps.append(StepRecord(name, StepState.DONE, WallTime(at), WallTime(at + seconds)))
        at += seconds
    values: dict[str, Any] = {
        "id": "4f1d0c9a77b2", "resource": "checkout", "source": "edge-a", "destination": "edge-c",
        "plan": plan, "token": 3, "started_at": WallTime(MOVED_WALL), "outcome": Outcome.SWITCHED,
        "pivoted": True, "ended_at": WallTime(at), "steps": tuple(steps), "decision_id": "d-42",
        "switch_ms": 412.0, "pause_ms": 0.0, "rto_seconds": 4.6, "rpo_seconds": 1.3,
    }  # fmt: skip
    return Switchover(**{**values, **keys})


def decision(at: float, verdict: str, reason: str, **keys: Any) -> dict[str, Any]:
    return {
        "id": f"d-{at:.0f}", "resource": "checkout", "at": isoformat(at), "verdict": verdict,
        "reasons": [reason], "lead_seconds": None, **keys,
    }  # fmt: skip


def clients() -> Clients:
    step = HOUR / 6
    ours, other, ages = [], [], []
    for i in range(54):
        at = ORIGIN + 2 * HOUR + i * step
        there = 1 / max(0.05, 1.0 - 0.5 * load(at))
        here = 1 / max(0.012, 1.0 - load(at))
        requests = int(900 * load(at)) + 20
        stays = here if at < DECIDED + 600 else there
        ours.append(Interval(at=at, requests=requests, failed=0, p50=0.008, p99=0.021 * stays))
        lost = int(max(0.0, load(at) - 0.97) * 2000)
        other.append(Interval(at=at, requests=requests, failed=lost, p50=0.01, p99=0.021 * here))
        for host, shift in (("edge-b", 0.0), ("edge-c", 0.7)):
            ages.append(Age(at=at, host=host, seconds=1.2 + (i * 0.37 + shift) % 2.1))
    return Clients(
        resource="checkout",
        step=step,
        runs={
            "foreshadow": Run(intervals=tuple(ours), staleness=tuple(ages)),
            "reactive": Run(intervals=tuple(other)),
        },
    )


def placement() -> dict[str, Any]:
    def row(host: str, load: float, near: float, room: float) -> dict[str, Any]:
        score = 0.3 * load + 0.2 * near + 0.5 * room
        terms = {"load_similarity": load, "network_proximity": near, "availability": room}
        return {"host": host, "score": score, "terms": terms, "rejected": None}

    rejected = {
        **row("edge-a", 0.9, 1.0, 0.05),
        "rejected": {"rule": "primary", "reason": "edge-a carries the primary of checkout"},
    }
    return {
        "weights": {"load_similarity": 0.3, "network_proximity": 0.2, "availability": 0.5},
        "hosts": ["edge-c", "edge-b"],
        "ranking": [row("edge-c", 0.91, 0.83, 0.62), row("edge-b", 0.88, 0.91, 0.31),
                    row("edge-d", 0.80, 0.44, 0.40), rejected],
        "short": None,
    }  # fmt: skip


def resource(**keys: Any) -> ResourceFacts:
    now = STARTED + 400.0
    move = switchover()
    reason = (
        "Utilization on edge-a is expected to pass 80 % at 06:36, 1 h 36 min from now: the "
        "forecast says 98 % at 08:00 (between 87 % and 109 %)."
    )
    values: dict[str, Any] = {
        "spec": spec(),
        "primary": "edge-c",
        "instances": tuple(
            Instance(resource="checkout", host=host, role="primary" if host == "edge-c" else
                     "shadow", mode="warm", state="frozen", address="127.0.0.1", port=1)
            for host in ("edge-a", "edge-b", "edge-c")
        ),
        "decisions": (
            decision(DECIDED + 2 * HOUR, "stay", "No metric is expected to pass its threshold."),
            {**decision(DECIDED, "switch", reason, lead_seconds=BREACH - DECIDED), "id": "d-42",
             "reasons": [reason, "edge-c scores 0.74 and would peak at 38 %.",
                         "The forecast beats the naive one by 31 %, and its interval held 81 %."]},
            decision(DECIDED - HOUR, "stay", "No metric is expected to pass its threshold."),
        ),
        "switchovers": (move,),
        "acknowledgements": {
            "edge-b": Acknowledged("checkout", "edge-b", 212, "r", WallTime(now - 2.4),
                                   WallTime(now - 2.2)),
            "edge-a": Acknowledged("checkout", "edge-a", 209, "r", WallTime(now - 44.0),
                                   WallTime(now - 43.7)),
        },
        "outcomes": (
            Observed(move.id, "checkout", "edge-a", "edge-c", MetricTime(DECIDED + 1400),
                     MetricTime(DECIDED + 1400 + 3 * HOUR), WallTime(now), 0.98, 0.38, 0.41, 1.1,
                     0.8, True, MetricTime(BREACH), 0.024, 0.022),
        ),
        "placement": placement(),
        "trajectories": (trajectory(),),
    }  # fmt: skip
    facts = ResourceFacts(**{**values, **keys})
    told = next((row for row in facts.decisions if row["verdict"] == "switch"), None)
    return replace(facts, told_decision=told or next(iter(facts.decisions), None))


def facts(**keys: Any) -> Facts:
    values: dict[str, Any] = {
        "generated": WallTime(STARTED + 400.0),
        "version": "1.0.0",
        "resources": (resource(),),
        "clients": clients(),
    }
    return Facts(**{**values, **keys})
