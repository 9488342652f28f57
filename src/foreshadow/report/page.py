"""The page: facts in, HTML out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from foreshadow.report import words
from foreshadow.report.digest import digest
from foreshadow.report.facts import Facts, ResourceFacts
from foreshadow.report.section import section
from foreshadow.report.summary import summarise

MOST = 30
"""How many resources get a section of their own; all are in the overview."""


@dataclass(frozen=True, slots=True)
class Line:
    """One resource in the overview.

    :ivar key: of its section; ``None`` when it has none.
    :ivar moved_at: wall time of its last switchover.
    """

    key: str | None
    name: str
    primary: str
    verdict: str
    moved_at: float | None
    reason: str


def render(facts: Facts) -> str:
    """Return the page: self-contained, without a script, everything from outside escaped."""
    told = sorted(facts.resources, key=_eventful)[:MOST]
    keys = {row.spec.name: f"r{number}" for number, row in enumerate(told)}
    return _template().render(
        digest=digest(facts),
        generated=facts.generated,
        version=facts.version,
        summary=summarise(facts),
        paused=facts.paused,
        overview=[_line(row, keys) for row in facts.resources],
        sections=[section(row, facts, keys[row.spec.name]) for row in told],
        plot=Markup,  # the drawings are ours, and escaped where they were made
    )


def _eventful(row: ResourceFacts) -> tuple[float, bool, str]:
    """Return the order in which resources deserve a section: moved lately, then not at rest."""
    newest = row.switchovers[0].started_at if row.switchovers else 0.0
    return (-newest, _verdict(row) in ("", "stay"), row.spec.name)


def _line(row: ResourceFacts, keys: Mapping[str, str]) -> Line:
    reasons = row.decisions[0]["reasons"] if row.decisions else ()
    return Line(
        key=keys.get(row.spec.name),
        name=row.spec.name,
        primary=row.primary,
        verdict=_verdict(row),
        moved_at=row.switchovers[0].started_at if row.switchovers else None,
        reason=reasons[0] if reasons else "",
    )


def _verdict(row: ResourceFacts) -> str:
    return str(row.decisions[0]["verdict"]) if row.decisions else ""


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("foreshadow.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        instant=words.instant, span=words.span, percent=words.percent, share=words.share,
        count=words.count,
    )  # fmt: skip
    return environment.get_template("report.html.j2")
