"""A state machine over plan, engine, ledger and fake drivers, on a network that does its worst.

Its rules are what may happen to a resource: moves and recoveries whose calls meet faults, old
plans, late copies of old calls, time that passes or jumps, reloads, changes by hand. What must hold
is watched by :mod:`tests.unit.switchover.shaky` at each call, and looked at here after each run.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from foreshadow.domain.errors import (
    ForeshadowError,
    LeaseHeldError,
    RefusedError,
    RolledBackError,
)
from foreshadow.domain.fleet import RESTING, Role
from foreshadow.domain.moves import Outcome, Plan, Switchover
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.switchover.pace import Stop
from foreshadow.switchover.plan import digest
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.shaky import KINDS, Fault, Sent, ShakyWorld
from tests.unit.switchover.shaky_ports import ShakyControllers, ShakyLedger
from tests.unit.switchover.world import NAME, A, B, C, Killed, make_world, pausing_spec, spec_of

SPECS = {
    "stepwise": spec_of(),
    "at once": spec_of(policy={"steps": [100], "soak": 0}),
    "single writer": pausing_spec(),
}
BEFORE = ("preflight", "fence", "sync", "activate", "promote", "admit", "shift-50", "soak-50",
          "shift-100", "soak-100", "verify", "drain", "prepare", "handover")  # fmt: skip
AFTER = ("commit", "deliver", "retire", "persist", "demote", "freeze", "resync")
SETTING = ("shift", "deliver", "undo shift")
BACK = tuple(f"undo {name}" for name in BEFORE)


Seed = tuple[int, ...]
SEEDS = st.tuples(*[st.integers(0, 100)] * 3)
"""Faults are thrown evenly, from small numbers that are drawn evenly: a search that prefers simple
examples would meet the same few again and again."""
CALLS = 8
"""As many are made while a step is open; begun together, a handover and its promotion are one."""
HAPPENS = ("time 20", "time 1000", "clock 1000", "clock -1000", "reload 0", "reload 2", "spec")
OTHERS = st.integers(0, 1)


class Moves(RuleBasedStateMachine):
    """One resource, many controllers, one after the other and over one another.

    :cvar registered: file of a ledger that knows the world, to be copied.
    :cvar resources: to try, of :data:`SPECS`.
    :cvar kinds: of faults that may meet a run.
    :cvar places: that faults keep to where they can; empty for all.
    """

    registered: Path
    resources: tuple[str, ...] = tuple(SPECS)
    kinds: tuple[str, ...] = KINDS
    places: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=self.registered.parent)
        path = shutil.copy(self.registered, Path(self._folder.name) / "ledger.db")
        self.world = ShakyWorld.over(make_world(), A)
        self.ledger = ShakyLedger.open(f"sqlite:///{path}", self.world.now)
        self.controllers = ShakyControllers(self.world, self.ledger)
        self.world.meanwhile = self._somebody_else
        self.world.ask_to_stop = lambda: self.controllers.stop.ask()
        self.picture: dict[str, object] | None = None

    @initialize(data=st.data())
    def register(self, data: st.DataObject) -> None:
        self._put_spec(SPECS[data.draw(st.sampled_from(self.resources))])

    # --- what may happen ---------------------------------------------------------------------

    @rule(other=OTHERS)
    def moves(self, other: int) -> None:
        self._run([], self._other(other))

    @rule(other=OTHERS, seed=SEEDS)
    def moves_on_a_bad_day(self, other: int, seed: Seed) -> None:
        self._run(self._throw(seed, "", *BEFORE, *AFTER), self._other(other))

    @rule(other=OTHERS, seed=SEEDS)
    def is_turned_back_on_a_bad_day(self, other: int, seed: Seed) -> None:
        """It is asked to stop where there is something to undo, and the way back goes wrong."""
        (turn, *_), back = self._throw(seed, *BEFORE[5:]), self._throw(seed, *BACK)
        self._run([turn._replace(kind="stopped"), *back], self._other(other))

    @rule(seed=SEEDS)
    def recovers_on_a_bad_day(self, seed: Seed) -> None:
        self._run(self._throw(seed, "", *BACK, *AFTER), None)

    @rule(other=OTHERS, what=st.sampled_from(HAPPENS) | st.just("move"), seed=st.none() | SEEDS)
    def carries_out_an_old_plan(self, other: int, what: str, seed: Seed | None) -> None:
        """Between the plan and its execution the world went on."""
        self._begin()
        plan = self.controllers.plan(self._other(other))
        if what == "move":
            self._run([], self._other(1 - other))
        else:
            self._happens(what)
        self._run([] if seed is None else self._throw(seed, "", *BEFORE), plan)

    @rule(what=st.sampled_from(HAPPENS))
    def something_happens(self, what: str) -> None:
        self._happens(what)

    def _happens(self, what: str) -> None:
        kind, _, amount = what.partition(" ")
        match kind:
            case "time":
                self.world.at += float(amount)
            case "clock":  # only the one on the wall
                self.world.offset += float(amount)
            case "reload":  # at rest it shows what it should, in between nobody is lost
                self.world.reload(int(amount))
            case _:
                self._other_patience()

    @precondition(lambda self: self.world.sent)
    @rule(data=st.data())
    def a_late_copy_comes(self, data: st.DataObject) -> None:
        """A call of before comes once more; where a newer actor has been it must be refused."""
        late = [one for one in self.world.sent if one.token < self.world.tokens[one.target]]
        if not late:
            return
        sent: Sent = data.draw(st.sampled_from(late))
        before = self.world.picture()
        self._begin()
        with suppress(ForeshadowError):
            self.world.call(sent.target, sent.name, sent.again, sent.token)
        assert self.world.picture() == before, f"a late copy of {sent.name} did something"

    @precondition(lambda self: not self.ledger.unfinished(NAME))
    @rule(number=st.integers(0, 2), other=OTHERS)
    def a_person_has_changed_something(self, number: int, other: int) -> None:
        """Drift at rest: told, and left alone; then the person takes it back."""
        primary, to = self.ledger.primary(NAME), self._other(other)
        self._begin()
        server = self.world.all_servers()[number]
        kept = dict(server.lines)
        server.lines[primary] = ("drain", 0)
        picture = self.world.picture()
        with suppress(RefusedError):
            self.controllers.switch(to)
        assert self.world.picture() == picture, "drift was overwritten"
        newest = self._newest()
        assert newest.outcome is Outcome.REFUSED
        assert newest.error is not None
        assert server.name in newest.error
        server.lines = kept
        self.world.violations.clear()  # that nobody served there was the person's doing

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        assert not self.world.violations, self.world.violations

    def teardown(self) -> None:
        try:
            if not self.world.violations:
                self._settle()
                assert_agreement(self.controllers, self.ledger.primary(NAME))
        finally:
            self.ledger.close()
            self._folder.cleanup()

    # --- how -----------------------------------------------------------------------------------

    def _begin(self, faults: Sequence[Fault] = ()) -> None:
        """Let a new process come: nobody has asked it to stop, and only these faults meet it."""
        self.world.begin_run(faults)
        self.controllers.stop = Stop(lambda: self.world.at)

    def _other_patience(self) -> None:
        """Let a person change the spec, which a plan of before did not see."""
        plain = self.world.spec.plain()
        drain = plain["service"]["drain"]
        drain["timeout"] = 25.0 - float(drain["timeout"])
        self._put_spec(parse_resource(plain))

    def _throw(self, seed: Seed, *places: str) -> list[Fault]:
        """Return up to three faults that meet a run in these steps."""
        chance = random.Random(repr((seed, places)))
        places = tuple(place for place in places if place in self.places) or places
        thrown = [
            Fault(
                chance.choice(self.kinds),
                chance.choice(places),
                chance.randrange(CALLS),
                chance.randrange(5),
            )
            for _ in range(1 + chance.randrange(3))
        ]
        note(f"with {thrown}")
        return thrown

    def _other(self, number: int) -> str:
        """Return a host that has not the primary."""
        return sorted({A, B, C} - {self.ledger.primary(NAME)})[number]

    def _put_spec(self, spec: ResourceSpec) -> None:
        self.world.spec = spec
        self.ledger.put_resource(spec)

    def _run(self, faults: list[Fault], what: str | Plan | None) -> None:
        """Let a process move to a host, carry out a plan, or only recover; then it ends."""
        world = self.world
        self._begin(faults)
        self.picture = None
        stale = isinstance(what, Plan) and self._stale(what)
        acted = world.acted
        ended: list[Switchover] = []
        try:
            ended += self.controllers.recover()
            acted = world.acted
            if isinstance(what, Plan):
                stale = stale or self._stale(what)
                ended.append(self.controllers.run(what))
            elif what is not None and what != self.ledger.primary(NAME):
                ended.append(self.controllers.switch(what))
        except RolledBackError as error:
            if not isinstance(error.__cause__, ForeshadowError):
                raise TypeError(f"undone for a mistake: {error.__cause__!r}") from error
        except (ForeshadowError, Killed):
            pass
        finally:
            self.controllers.dead.add(self.controllers.holder)
            met = list(world.met)
            self._begin()
        if stale and not {"forward", "backward", "frozen", "slow"} & {kind for kind, _, _ in met}:
            assert world.acted == acted, "a stale plan was carried out"
        if self.picture is not None:
            assert world.picture() == self.picture, "a late actor did something"
        self._drift_is_told(met)
        if any("left out" in (one.error or "") for one in ended):
            self._mend()

    def _stale(self, plan: Plan) -> bool:
        """Return whether the world differs from what a plan saw, or the plan is too old."""
        seen, world = plan.seen, self.world
        return (
            world.now() >= plan.expires_at
            or seen.spec != digest(world.spec)
            or seen.source != self.ledger.primary(NAME)
            or seen.shadow_state != world.machines[seen.destination].state
        )

    def _drift_is_told(self, met: list[tuple[str, str, str]]) -> None:
        """What a person changed in the middle turns the move back, or stands in its record.

        A director that is just being set shows anything: there a change by hand is no drift.
        """
        if not any(kind == "meddled" and not place.startswith(SETTING) for kind, _, place in met):
            return
        newest = self._newest()
        told = " ".join([newest.error or "", *(step.detail for step in newest.steps)])
        assert newest.outcome is not Outcome.SWITCHED or "showed" in told, "drift was not told"

    def _newest(self) -> Switchover:
        """Return the switchover that began last, whatever the clock said then."""
        return max(self.ledger.switchovers(NAME), key=lambda one: int(one.id[1:]))

    def _somebody_else(self) -> None:
        """While one process is frozen, another one finds its lease run out, and goes on."""
        mine, holder = self.ledger.lease(NAME), self.controllers.holder
        with self.world.another_process(), suppress(LeaseHeldError):
            self.controllers.recover()
        self.controllers.dead.add(self.controllers.holder)
        self.controllers.dead.discard(holder)
        self.controllers.holder = holder
        if mine is not None and mine.holder == holder and self.world.newest > mine.token:
            self.picture = self.world.picture()

    def _settle(self) -> None:
        """Let everything answer again, and the next runs end what was left."""
        self._begin()
        try:
            ended = self.controllers.recover()
        except ForeshadowError as error:
            raise AssertionError(f"not to be ended although all is well: {error}") from error
        assert not any("left out" in (one.error or "") for one in ended)
        self.controllers.dead.add(self.controllers.holder)

    def _mend(self) -> None:
        """Do what converge does about a host that was left out: it is a shadow at rest again."""
        self._settle()
        primary = self.ledger.primary(NAME)
        for name, machine in self.world.machines.items():
            if name != primary:
                machine.role, machine.state = Role.SHADOW, RESTING[machine.mode]
                machine.follows = ()
                machine.received = list(machine.written) if machine.sealed else machine.received
            else:
                machine.follows = tuple(sorted(set(self.world.machines) - {primary}))
                machine.sends_with = self.world.newest
            (known,) = self.ledger.instances(resource=NAME, host=name)
            self.ledger.put_instance(
                known.model_copy(update={"role": machine.role, "state": machine.state})
            )
