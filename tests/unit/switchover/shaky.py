"""The world in memory behind an unreliable network, and what it holds against its controllers.

Each call of a controller to an agent, a director, state sync or the ledger goes through
:meth:`ShakyWorld.call`, where a fault may meet it. What the design forbids is written down in
``violations`` when it happens, whatever becomes of the call.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import FencedError, LedgerError, UnreachableError
from foreshadow.domain.fleet import Role, RunState
from tests.unit.switchover.world import World

T = TypeVar("T")

LEDGER = "ledger"
SLEEP_SECONDS = 60.0
SLOW_SECONDS = 20.0
"""Both are longer than a lease, and than a hold."""
JUMP_SECONDS = 100.0

KINDS = ("killed", "unreachable", "silent", "lost", "twice", "slow", "forward", "backward",
         "frozen", "reloaded", "meddled", "stopped")  # fmt: skip


class Fault(NamedTuple):
    """What meets one call of a run.

    :ivar place: the step that is open in the journal then, with ``undo`` before it on the way back.
    :ivar nth: of the calls there, from 0.
    :ivar amount: for how many calls somebody is away, or how many effects later the killed die.
    """

    kind: str
    place: str
    nth: int
    amount: int


class Sent(NamedTuple):
    """A call that was accepted, as a late copy of it would come again."""

    target: str
    name: str
    token: int
    again: Callable[[], object]


@dataclass
class ShakyWorld(World):
    """The world, its network, and its record of what must not be.

    :ivar offset: of the wall clock, which may jump; ``at`` only ever grows.
    :ivar faults: that are to come in this run, and ``met`` those that came: kind, call, place.
    :ivar place: the step that is open, and how many calls were made there.
    :ivar away: by target, how many more calls to it get no answer.
    :ivar tokens: by target, the newest token with which something was done.
    :ivar newest: the newest token that the ledger gave out.
    :ivar open: by token, the steps that the journal has begun and not ended.
    :ivar proved: hosts whose instance was seen well while it had all the traffic.
    :ivar primary: as the ledger has it.
    :ivar acted: how many actions of controllers were accepted.
    """

    offset: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    met: list[tuple[str, str, str]] = field(default_factory=list)
    place: tuple[str, int] = ("", 0)
    away: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    newest: int = 0
    open: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    proved: set[str] = field(default_factory=set)
    primary: str = ""
    acted: int = 0
    sent: list[Sent] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    ask_to_stop: Callable[[], None] = lambda: None

    @classmethod
    def over(cls, world: World, primary: str) -> ShakyWorld:
        """Return a world as another one is."""
        return cls(world.spec, world.machines, world.servers, proved={primary}, primary=primary)

    def now(self) -> WallTime:
        return WallTime(self.at + self.offset)

    def begin_run(self, faults: Sequence[Fault] = ()) -> None:
        """Forget the faults of before, and wait for these."""
        self.faults, self.met = list(faults), []
        self.place, self.away = ("", 0), Counter()
        self.dead, self.die_at = False, None

    @contextmanager
    def another_process(self) -> Iterator[None]:
        """Let another controller run, whom the faults of this one do not meet."""
        kept = self.faults, self.met, self.place, self.away, self.die_at
        self.begin_run()
        yield
        self.faults, self.met, self.place, self.away, self.die_at = kept

    def call(self, target: str, name: str, action: Callable[[], T], token: int | None = None) -> T:
        """Make a call; a fault may meet it.

        :param token: of a call that acts; ``None`` for one that only looks.
        """
        self.alive()
        fault = self._due(name)
        kind = "" if fault is None else fault.kind
        if self.away[target] > 0:
            self.away[target] -= 1
            raise self._silence(target)
        if fault is not None:
            self._befall(fault, target)
        result = action() if token is None else self._act(Sent(target, name, token, action))
        if kind == "twice" and target != LEDGER:
            result = action()
        if kind == "lost":
            raise self._silence(target)
        return result

    def reload(self, number: int) -> None:
        """Let a load balancer come back from a reload: with what it kept, and holding nothing."""
        server = self.all_servers()[number]
        server.lines, server.held_until = dict(server.saved), 0.0
        self.check(f"reload of {server.name}")

    def meddle(self) -> bool:
        """Let a person give the traffic of a load balancer back to the primary; tell whether."""
        for server in self.all_servers():
            others = set(server.carried()) - {self.primary}
            if others and server.lines[self.primary][0] != "maint":
                server.lines |= dict.fromkeys(others, ("drain", 0))
                server.lines[self.primary] = ("ready", 100)
                return True
        return False

    def picture(self) -> dict[str, object]:
        """Return what a late actor must leave as it is."""
        machines = {
            name: (m.role, m.state, m.sealed, m.follows, m.sends_with, tuple(m.received))
            for name, m in self.machines.items()
        }
        servers = {s.name: (dict(s.lines), dict(s.saved)) for s in self.all_servers()}
        return {**machines, **servers}

    def _due(self, name: str) -> Fault | None:
        place, nth = self.place
        self.place = place, nth + 1
        for fault in self.faults:
            if (fault.place, fault.nth) == (place, nth):
                self.faults.remove(fault)
                self.met.append((fault.kind, name, place))
                return fault
        return None

    def _silence(self, target: str) -> UnreachableError | LedgerError:
        kind = LedgerError if target == LEDGER else UnreachableError
        return kind("does not answer", where=target)

    def _silence_one(self, amount: int) -> None:
        """Let the agent of a host that serves be away for a few calls."""
        running = [name for name, m in self.machines.items() if m.state is RunState.RUNNING]
        self.away[running[amount % len(running)]] = 1 + amount

    def _befall(self, fault: Fault, target: str) -> None:
        match fault.kind:
            case "killed":
                self.die_at = fault.amount
            case "unreachable":
                self.away[target] = fault.amount
                raise self._silence(target)
            case "silent":
                self._silence_one(fault.amount)
            case "slow":
                self.at += SLOW_SECONDS
            case "forward" | "backward":
                self.offset += JUMP_SECONDS if fault.kind == "forward" else -JUMP_SECONDS
            case "frozen":
                self.at += SLEEP_SECONDS
                self.meanwhile()
            case "reloaded":
                self.reload(fault.amount % 3)
            case "stopped":
                self.ask_to_stop()
            case "meddled" if not self.meddle():
                self.met.pop()  # there was nothing to give back

    def _act(self, sent: Sent) -> Any:
        found = self._objections(sent)
        if sent.name == "promote" and self.machines[sent.target].role is not Role.PRIMARY:
            self.proved.discard(sent.target)
        try:
            result = sent.again()
        except (FencedError, LedgerError, UnreachableError):
            raise
        except BaseException:
            self.violations += found
            raise
        self.violations += found
        if sent.target != LEDGER:
            self.acted += 1
            self.tokens[sent.target] = max(self.tokens[sent.target], sent.token)
            self.sent.append(sent)
        return result

    def _objections(self, sent: Sent) -> list[str]:
        """Return what is wrong about an action, should it be accepted."""
        target, name, token = sent.target, sent.name, sent.token
        label = f"{name} on {target}"
        newest = self.newest if target == LEDGER else self.tokens[target]
        found = [f"{label} with token {token} after {newest}"] * (token < newest)
        if target == LEDGER:
            return found
        if name not in ("raise_fence", "fence") and not self.open[token]:
            found.append(f"{label} without a line in the journal")
        machine = self.machines.get(target)
        rests = machine is not None and (
            (name == "freeze" and machine.state is RunState.RUNNING)
            or (name == "demote" and machine.role is Role.PRIMARY)
        )
        if rests and target == self.primary:
            found.append(f"{label}: it is the primary")
        elif rests and not self.spec.policy.pause_writes and self.primary not in self.proved:
            found.append(f"{label}: {self.primary} is not proved under traffic")
        return found

    def judge_pivot(self, source: str, destination: str) -> None:
        """Object to a commit that leaves no way back until it, or no way on after it."""
        left, taken = self.machines[source], self.machines[destination]
        if (left.role, left.state) != (Role.PRIMARY, RunState.RUNNING):
            self.violations.append(f"pivot: {source} was put to rest before the outcome was known")
        if (taken.role, taken.state) != (Role.PRIMARY, RunState.RUNNING):
            self.violations.append(f"pivot: {destination} is no primary")
        if not self.spec.policy.pause_writes and destination not in self.proved:
            self.violations.append(f"pivot: {destination} is not proved under traffic")
        self.primary = destination

    def seen_well(self, host: str) -> None:
        """Remember who was seen well while it had all the traffic."""
        if all(server.carried() == {host: 100} for server in self.all_servers()):
            self.proved.add(host)
