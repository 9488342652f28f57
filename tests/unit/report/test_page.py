import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.control import Control
from foreshadow.domain.moves import Outcome, StepRecord, StepState
from foreshadow.report.digest import digest, digest_of
from foreshadow.report.facts import Facts
from foreshadow.report.page import render
from tests.unit.report import samples

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }} $x^2$ </style>"


class Outline(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br", "path", "use", "circle", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"path", "use", "circle", "rect"}:
            return
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return render(samples.facts())


def test_the_first_line_tells_what_happened(page: str) -> None:
    words = " ".join("".join(outline(page).text).split())
    assert "checkout moved from edge-a to edge-c 1 h 14 min before it would have breached." in words
    assert "0 of 23" in words
    assert "without: 1" in words


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    found = outline(page)
    assert not {"script", "iframe", "img", "object", "embed", "base"} & {t for t, _ in found.tags}
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:,")), (tag, value)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"https?://", page)


def test_every_plot_says_what_it_shows_and_takes_its_colours_from_the_page(page: str) -> None:
    plots = [a for tag, a in outline(page).tags if tag == "svg" and a.get("class") == "plot"]
    assert len(plots) == 4
    for attributes in plots:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 30
    drawings = "".join(re.findall(r"<svg class=\"plot\".*?</svg>", page, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b(?=[;\"])", drawings)) <= {"#000000"}
    assert "var(--accent)" in drawings


def test_ids_are_unique_and_the_markup_is_balanced(page: str) -> None:
    found = outline(page)
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert found.unbalanced == []
    assert found.open == []


def test_tables_have_headers_with_a_scope(page: str) -> None:
    headers = [a for tag, a in outline(page).tags if tag == "th"]
    assert headers
    assert all(a.get("scope") in {"col", "row"} for a in headers)


def test_hostile_names_and_reasons_are_text() -> None:
    move = samples.switchover(
        source=HOSTILE, destination=HOSTILE, outcome=Outcome.ROLLED_BACK, error=HOSTILE,
        steps=(StepRecord(HOSTILE, StepState.FAILED, WallTime(1.0), WallTime(2.0), HOSTILE),),
    )  # fmt: skip
    ranking = samples.placement()["ranking"]
    hostile = samples.resource(
        primary=HOSTILE,
        decisions=(samples.decision(samples.DECIDED, HOSTILE, HOSTILE),),
        switchovers=(move,),
        placement={**samples.placement(), "ranking": [{**ranking[0], "host": HOSTILE}]},
        trajectories=(replace(samples.trajectory(), metric=HOSTILE),),
    )
    seen = samples.clients()
    runs = {HOSTILE: seen.runs["reactive"], "foreshadow": seen.runs["foreshadow"]}
    page = render(
        samples.facts(resources=(hostile,), clients=seen.model_copy(update={"runs": runs}))
    )
    found = outline(page)
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.unbalanced == []
    assert "<script" not in page.lower()
    assert "{{ 7*7 }} $x^2$" in "".join(found.text)
    assert "49 $x^2$" not in page


def test_a_page_is_the_same_until_a_fact_changes(page: str) -> None:
    facts = samples.facts()
    later = replace(facts, generated=WallTime(facts.generated + 3600))
    assert digest_of(page) == digest(facts) == digest(later)
    assert digest(replace(facts, version="1.0.1")) != digest(facts)
    assert digest(replace(facts, clients=None)) != digest(facts)
    failed = samples.resource(switchovers=(samples.switchover(error="no"),))
    assert digest(replace(facts, resources=(failed,))) != digest(facts)
    assert digest_of("<html>another page</html>") is None


def test_the_same_facts_give_the_same_bytes(page: str) -> None:
    assert render(samples.facts()) == page


@pytest.mark.parametrize("resources", [0, 1, 2])
def test_a_page_without_events_is_a_page(resources: int) -> None:
    rows = tuple(
        samples.resource(
            spec=samples.spec(f"r{i}"), decisions=(), switchovers=(), outcomes=(), placement=None,
            trajectories=(), acknowledgements={},
        )
        for i in range(resources)
    )  # fmt: skip
    page = render(Facts(WallTime(0.0), "1.0.0", rows))
    words = " ".join("".join(outline(page).text).split())
    assert ("No switchover was made." if resources else "Nothing is registered.") in words
    assert ("nothing acknowledged yet" in words) == bool(resources)
    assert 'href="#r1"' in page if resources > 1 else "<nav" not in page


def test_a_switchover_under_way_and_a_failed_step_are_shown() -> None:
    steps = (
        StepRecord("preflight", StepState.DONE, WallTime(0.0), WallTime(0.2)),
        StepRecord("activate", StepState.FAILED, WallTime(0.2), WallTime(3.2), "no answer"),
        StepRecord("shift_10", StepState.STARTED, WallTime(3.2)),
    )
    move = samples.switchover(
        outcome=None, ended_at=None, steps=steps, started_at=WallTime(0.0), switch_ms=None,
        rpo_seconds=None,
    )  # fmt: skip
    page = render(samples.facts(resources=(samples.resource(switchovers=(move,)),)))
    assert "under way" in page
    assert "3\u00a0s failed" in page


def test_a_metric_without_a_forecast_is_drawn_as_measured_and_one_without_samples_is_not() -> None:
    whole = samples.trajectory()
    bare = replace(whole, expected=(), lower=(), upper=(), breach_at=None, threshold=None)
    empty = replace(bare, seen=())
    rows = {"switchovers": (), "placement": None, "trajectories": (bare, empty)}
    page = render(samples.facts(resources=(samples.resource(**rows),), clients=None))
    assert page.count('class="plot"') == 1
    assert "as measured; there is no forecast of it" in page


def test_a_large_fleet_gets_sections_for_what_has_most_to_tell() -> None:
    quiet = {"switchovers": (), "outcomes": (), "placement": None, "trajectories": ()}
    names = [f"quiet-{number:02}" for number in range(40)]
    stays = (samples.decision(samples.DECIDED, "stay", "All is well."),)
    rows = [samples.resource(spec=samples.spec(n), decisions=stays, **quiet) for n in names]
    blocked = (samples.decision(samples.DECIDED, "blocked", "It is paused."),)
    rows.append(samples.resource(spec=samples.spec("zz-blocked"), decisions=blocked, **quiet))
    found = outline(render(samples.facts(resources=tuple(rows), clients=None)))
    sections = [a["aria-labelledby"] for tag, a in found.tags if tag == "section"]
    assert len(sections) == 30
    words = " ".join("".join(found.text).split())
    assert all(name in words for name in names)
    assert "zz-blocked Primary on" in words
    assert "blocked: zz-blocked" in words


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (Control(paused=True), "All switching is paused."),
        (Control(paused_resources=frozenset({"checkout", "gone"})), "Paused: checkout."),
        (Control(), ""),
    ],
)
def test_a_pause_is_told_at_the_top_and_makes_another_page(control: Control, said: str) -> None:
    facts = replace(samples.facts(), control=control)
    page = render(facts)
    assert said in " ".join("".join(outline(page).text).split())
    assert ('<p class="paused">' in page) == bool(said)
    assert (digest(facts) == digest(samples.facts())) == (not said)
