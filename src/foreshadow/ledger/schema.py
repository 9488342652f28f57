"""The tables of the ledger, as this version reads and writes them.

Times are UTC seconds (:mod:`foreshadow.domain.clock`): wall time unless a column says otherwise.
What changes here needs a step in :mod:`foreshadow.ledger.migrations`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.schema import DDL

metadata = MetaData()


def _only_one(name: str, table: Table, where: str) -> None:
    """Let at most one row of each resource be so, by a partial index.

    It is written by hand: ``Index`` with a condition would load every dialect that it names, which
    costs each run of a module more than the ledger itself.
    """
    command = f"CREATE UNIQUE INDEX {name} ON {table.name} (resource) WHERE {where}"
    event.listen(table, "after_create", DDL(command))  # type: ignore[no-untyped-call]


schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", Double, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", JSON, nullable=False),
)

resources = Table(
    "resources",
    metadata,
    Column("name", String, primary_key=True),
    Column("spec", JSON, nullable=False),
    # Where the primary is now; null until one is in care: then the spec's own word counts.
    Column("primary_host", String),
    Column("updated_at", Double, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String, primary_key=True),
    Column("spec", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)

instances = Table(
    "instances",
    metadata,
    Column("resource", ForeignKey("resources.name"), primary_key=True),
    Column("host", ForeignKey("hosts.name"), primary_key=True),
    Column("role", String, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)
_only_one("one_primary", instances, "role = 'primary'")

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("resource", ForeignKey("resources.name", ondelete="CASCADE"), primary_key=True),
    Column("host", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("root", String, nullable=False),
    Column("captured_at", Double, nullable=False),
    Column("acknowledged_at", Double, nullable=False),
)

# Outlives its resource: agents remember the highest token, so it must never start again from one.
leases = Table(
    "leases",
    metadata,
    Column("resource", String, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", String),  # null: released
    Column("expires_at", Double, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("id", String, primary_key=True),
    Column("resource", String, nullable=False),
    Column("decision_id", String, index=True),
    Column("body", JSON, nullable=False),
    Column("expires_at", Double, nullable=False),
)

switchovers = Table(
    "switchovers",
    metadata,
    Column("id", String, primary_key=True),
    Column("resource", String, nullable=False),
    Column("source", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("token", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("outcome", String),  # null: under way
    Column("direction", String),
    Column("pivoted", Boolean, nullable=False),
    Column("ended_at", Double),
    Column("decision_id", String, index=True),
    Column("switch_ms", Double),
    Column("pause_ms", Double),
    Column("rto_seconds", Double),
    Column("rpo_seconds", Double),
    Column("requests", Integer),
    Column("errors", Integer),
    Column("error", Text),
)
Index("switchovers_of", switchovers.c.resource, switchovers.c.started_at)
_only_one("one_under_way", switchovers, "outcome IS NULL")

steps = Table(
    "steps",
    metadata,
    Column("switchover", ForeignKey("switchovers.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("detail", Text, nullable=False),
    Column("convergence", JSON),  # of the one step that waits for it
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("resource", String, nullable=False),
    Column("at", Double, nullable=False),  # metric time
    Column("decided_at", Double, nullable=False),
    Column("verdict", String, nullable=False),
    Column("kept", Boolean, nullable=False),  # a change of verdict, or the first of its period
    Column("ticks", Integer, nullable=False),  # how many ticks this row stands for
    Column("body", JSON, nullable=False),
    UniqueConstraint("resource", "at", name="one_per_tick"),
)
Index("decisions_of", decisions.c.resource, decisions.c.decided_at)
Index("decisions_by_age", decisions.c.decided_at)

control = Table(
    "control",
    metadata,
    Column("kind", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Double, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("switchover", String, primary_key=True),
    Column("resource", String, nullable=False),
    Column("measured_at", Double, nullable=False),
    Column("body", JSON, nullable=False),
)
Index("outcomes_of", outcomes.c.resource, outcomes.c.measured_at)

placements = Table(
    "placements",
    metadata,
    Column("resource", ForeignKey("resources.name", ondelete="CASCADE"), primary_key=True),
    Column("body", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)

learned_weights = Table(
    "learned_weights",
    metadata,
    Column("resource", ForeignKey("resources.name", ondelete="CASCADE"), primary_key=True),
    Column("weights", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)

pair_terms = Table(
    "pair_terms",
    metadata,
    Column("resource", ForeignKey("resources.name", ondelete="CASCADE"), primary_key=True),
    Column("host", ForeignKey("hosts.name", ondelete="CASCADE"), primary_key=True),
    Column("value", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

round_trips = Table(
    "round_trips",
    metadata,
    Column("source", ForeignKey("hosts.name", ondelete="CASCADE"), primary_key=True),
    Column("destination", ForeignKey("hosts.name", ondelete="CASCADE"), primary_key=True),
    Column("seconds", Double, nullable=False),
    Column("measured_at", Double, nullable=False),
)

# What a director's TTL was before it was lowered for a move that is ahead, until it is restored.
lowered_ttls = Table(
    "lowered_ttls",
    metadata,
    Column("resource", ForeignKey("resources.name", ondelete="CASCADE"), primary_key=True),
    Column("director", String, primary_key=True),
    Column("before", Double, nullable=False),
    Column("lowered", Double, nullable=False),
    Column("movable_at", Double),  # null: it is not known to be lowered everywhere yet
)

cache = Table(
    "cache",
    metadata,
    Column("key", String, primary_key=True),
    Column("text", Text, nullable=False),
    Column("stored_at", Double, nullable=False, index=True),
)
