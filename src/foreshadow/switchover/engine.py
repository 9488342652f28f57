"""Takes the steps of a switchover, or takes them back, and keeps the journal true.

Each step is written down before and after it happens. How it ends:

* an error before the commit: the steps are undone in reverse, the outcome is ``rolled_back``;
* a refusal by the preflight: nothing was done, the outcome is ``refused``;
* the commit: from there on errors never undo. What could not be done is left open in the journal:
  the switchover has no outcome in the ledger, with traffic on the destination, until a recovery
  has done the rest. The caller gets it with what is still to do in ``error``;
* the source stops serving after the destination was admitted: going back would be onto something
  dead, so it goes forward;
* a lost lease, or a newer token seen anywhere: nothing more is done. Whoever holds it goes on.

A step that only puts a host to rest does not hold up a recovery or a failover when that host's
agent does not answer: it is noted as failed, and told in ``error``. An agent that answers is given
the whole time of the step, for its service may have to be silent for a while to count as gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from foreshadow.domain.errors import (
    FencedError,
    ForeshadowError,
    RefusedError,
    RolledBackError,
    UnreachableError,
)
from foreshadow.domain.fleet import RESTING, Instance, RunState
from foreshadow.domain.moves import Outcome, StepState, Switchover
from foreshadow.switchover.figures import Figures, measure
from foreshadow.switchover.log import Log, OpenError
from foreshadow.switchover.outline import steps_after, steps_before
from foreshadow.switchover.pace import StoppedError
from foreshadow.switchover.plan import COMMIT, HANDOVER
from foreshadow.switchover.stage import Stage
from foreshadow.switchover.step import Step, Undoable
from foreshadow.switchover.view import serves

GONE_SECONDS = 2.0
"""For how long a host is asked that may be gone for good."""

_ANYTHING = (ForeshadowError,)
_OUR_END = (RefusedError, StoppedError)


class UnfinishedError(ForeshadowError):
    """A switchover could neither be completed nor undone now; traffic is served meanwhile."""

    code = "unfinished"


class Engine:
    """Moves one resource, once.

    :param switchover: as it stands in the journal.
    :param outcome: what a completed move is called.
    :param recovering: it finishes or undoes what another actor left.
    """

    def __init__(
        self,
        stage: Stage,
        switchover: Switchover,
        outcome: Outcome = Outcome.SWITCHED,
        *,
        recovering: bool = False,
    ) -> None:
        self._stage = stage
        self._switchover = switchover
        self._outcome = outcome
        self._recovering = recovering
        self._may_abandon = recovering or stage.plan.failover
        self._log = Log(stage.ledger, stage.keeper, switchover, stage.pace.clock.now)
        self._pivoted = switchover.pivoted
        self._abandoned = False
        self._told: list[str] = []

    def run(self) -> Switchover:
        """Begin in the journal, and move.

        :returns: as it ended; without an outcome when something after the commit is still to do.
        :raises RefusedError: when the preflight found a reason against it; nothing was done.
        :raises RolledBackError: when it failed and was undone.
        :raises FencedError: when somebody else has taken over.
        :raises UnfinishedError: when it failed and could not be undone completely; the journal
            knows, and a recovery does the rest.
        """
        self._stage.ledger.begin(self._stage.keeper.lease, self._switchover)
        try:
            for step in steps_before(self._stage.plan):
                self._forward(step)
            self._commit()
        except (FencedError, OpenError):
            raise
        except Exception as cause:
            if isinstance(cause, RefusedError) and len(self._log.records) == 1:
                self._told.append(str(cause))
                self._end(Outcome.REFUSED)
                raise
            return self._turn_back(cause)
        return self.settle()

    def settle(self) -> Switchover:
        """Do what comes after the commit; only forward.

        A recovery does all of it again: its newer token fences off the sync schedule of before,
        and a director may have come back with what it knew before.

        :returns: finished; or without an outcome, and what is still to do in ``error``.
        """
        ready: set[str] = set()
        left: list[str] = []
        for step in steps_after(self._stage.plan):
            if missing := [name for name in step.needs if name not in ready]:
                left.append(f"{step.name} waits for {missing[0]}")
                continue
            try:
                self._forward(step, insist=True)
            except FencedError:
                raise
            except ForeshadowError as error:
                if not self._abandons(step, error):
                    left.append(f"{step.name}: {error}")
                    continue
            ready.add(step.name)
        if left:
            return self._as_it_stands(None, "; ".join(left))
        return self._end(self._outcome, direction="finished")

    def undo(self) -> Switchover:
        """Undo what was done before the pivot, in reverse.

        A recovery undoes again what had been undone: its newer token fences off the sync schedule
        of before, and a director may have come back with what it knew before.

        :returns: finished, all traffic on the source.
        :raises UnfinishedError: when a step could not be undone: it, and those before it, stay as
            they are, for the order is what keeps requests safe.
        """
        self._stage.pace.retreating = True
        for step in reversed(steps_before(self._stage.plan)):
            if self._log.state(step.name) is None:
                continue
            try:
                self._back(step)
            except FencedError:
                raise
            except ForeshadowError as error:
                if not self._abandons(step, error):
                    said = f"{error}{self._let_source_write(step)}"
                    raise self._unfinished("undone", said) from error
        outcome = Outcome.RECOVERED if self._recovering else Outcome.ROLLED_BACK
        return self._end(outcome, direction="undone")

    def source_is_gone(self) -> bool:
        """Return whether going back would move traffic onto something that does not serve.

        True when the destination may have traffic and serves, and the source does not: neither by
        its own agent's word nor as every director sees it.
        """
        stage = self._stage
        done = [self._log.state(name) is StepState.DONE for name in ("promote", "admit")]
        shifted = any(self._log.state(f"shift-{percent}") for percent in stage.plan.weights)
        if not (all(done) and shifted) or serves(stage.at(stage.source), stage.resource):
            return False
        try:
            seen = [endpoint for director in stage.ports.directors for endpoint in director.read()]
        except UnreachableError:
            return False
        if all(stage.source in endpoint.checked for endpoint in seen):
            return False
        return serves(stage.at(stage.destination), stage.resource)

    def push_through(self, cause: str) -> Switchover:
        """Go forward without the source: all traffic to the destination, commit, settle.

        :raises UnfinishedError: when that does not work either.
        """
        self._told.append(f"{self._stage.source} no longer serves, moved on without it ({cause})")
        self._stage.pace.retreating = True
        self._may_abandon = True
        try:
            for step in steps_before(self._stage.plan):
                if step.name in ("shift-100", "verify"):
                    self._forward(step, insist=True)
            self._commit()
        except FencedError:
            raise
        except ForeshadowError as error:
            raise self._unfinished("finished", str(error)) from error
        return self.settle()

    def _turn_back(self, cause: Exception) -> Switchover:
        told = isinstance(cause, ForeshadowError)
        said = str(cause) if told else f"{type(cause).__name__}: {cause}"
        if self.source_is_gone():
            return self.push_through(said)
        self._told.append(said)
        ended = self.undo()
        raise RolledBackError(
            f"the switchover to {self._stage.destination} failed and was undone: {said}",
            where=f"resource {self._stage.resource}",
            remedy=f"traffic is on {self._stage.source}; see switchover {ended.id}",
        ) from cause

    def _forward(self, step: Step, *, insist: bool = False) -> None:
        """Take one step: note, do, prove, note.

        :param insist: try again whatever went wrong, as long as nobody else has taken over.
        """
        stage = self._stage

        def once() -> str:
            detail = step.do(stage)
            step.verify(stage)
            return detail

        stage.pace.safe_point()
        with self._log.taking(step.name) as note:
            seconds = step.deadline(stage)
            try:
                if insist:
                    note.detail = self._insist(step, once, seconds)
                else:
                    note.detail = stage.pace.retry(once, seconds)
            finally:
                note.convergence = step.convergence

    def _back(self, step: Undoable) -> None:
        stage = self._stage
        with self._log.undoing(step.name) as note:
            note.detail = self._insist(step, lambda: step.undo(stage), step.undo_deadline(stage))

    def _insist(self, step: Step, action: Callable[[], str], seconds: float) -> str:
        pace = self._stage.pace
        pace.safe_point()
        if not (self._may_abandon and step.resting):
            return pace.retry(action, seconds, _ANYTHING, _OUR_END)
        patience = 0.0 if self._abandoned else min(seconds, GONE_SECONDS)

        def while_it_answers() -> str:
            return pace.retry(action, patience, (UnreachableError,))

        return pace.retry(while_it_answers, seconds, _ANYTHING, (*_OUR_END, UnreachableError))

    def _abandons(self, step: Step, error: ForeshadowError) -> bool:
        """Return whether to go on without a host that does not answer; it is told then."""
        if not (self._may_abandon and step.resting and isinstance(error, UnreachableError)):
            return False
        self._abandoned = True
        self._told.append(f"{step.name} was left out: {error}")
        return True

    def _let_source_write(self, failed: Step) -> str:
        """Spare writers a destination that does not give its role back: they go on at the source.

        Undoing the handover sees to it that nobody is led to the destination. The journal still
        has the rest for a recovery, which takes its role back.
        """
        stage = self._stage
        if failed.name != "promote" or self._log.state(HANDOVER) is None:
            return ""
        (handover,) = (s for s in steps_before(stage.plan) if s.name == HANDOVER)
        try:
            self._back(handover)
        except FencedError:
            raise
        except ForeshadowError as also:
            return f"; {stage.source} may still be sealed: {also}"
        return f"; {stage.source} writes again without {stage.destination}"

    def _commit(self) -> None:
        self._stage.pace.safe_point()
        with self._log.taking(COMMIT):
            self._log.pivot()
        self._pivoted = True

    def _end(self, outcome: Outcome, direction: str | None = None) -> Switchover:
        """Write down how it ended, and what runs where now."""
        if outcome is not Outcome.REFUSED:
            for host in (self._stage.source, self._stage.destination):
                self._write_down(host)
        error = "; ".join(self._told) or None
        ended = self._as_it_stands(outcome, error, direction)
        self._stage.ledger.finish(self._stage.keeper.lease, ended)
        return ended

    def _write_down(self, host: str) -> None:
        ledger, resource = self._stage.ledger, self._stage.resource
        seconds = 0.0 if self._abandoned else GONE_SECONDS
        try:
            # A moment's silence must not make a failure of what runs.
            seen = self._stage.pace.retry(lambda: self._stage.at(host).get(resource), seconds)
        except (StoppedError, UnreachableError):
            seen = self._as_it_was_left(host)
        if seen is None:
            return
        try:
            ledger.put_instance(seen)
        except RefusedError as error:
            self._told.append(str(error))

    def _as_it_was_left(self, host: str) -> Instance | None:
        """Return what a host that does not answer runs, by what was done there last.

        Where a step was left out because it did not answer, nobody knows: it is taken for failed.
        """
        known = self._stage.ledger.instances(resource=self._stage.resource, host=host)
        if not known:
            return None
        serving = self._stage.destination if self._pivoted else self._stage.source
        state = RunState.RUNNING if host == serving else RESTING[known[0].mode]
        return known[0].model_copy(update={"state": RunState.FAILED if self._abandoned else state})

    def _as_it_stands(
        self, outcome: Outcome | None, error: str | None, direction: str | None = None
    ) -> Switchover:
        stage = self._stage
        figures, served = Figures(), stage.counts.tally(stage.destination)
        if self._pivoted:
            held = stage.ledger.acknowledgements(stage.resource).get(stage.destination)
            figures = measure(
                self._log.records,
                self._switchover.started_at,
                held,
                stateful=bool(stage.spec.state),
                pause_limit=stage.spec.policy.pause_limit,
                held_for=stage.held_for,
            )
        return replace(
            self._switchover,
            token=stage.token,
            outcome=outcome,
            direction=direction if self._recovering else None,
            pivoted=self._pivoted,
            ended_at=None if outcome is None else stage.pace.clock.now(),
            steps=self._log.records,
            error=error,
            switch_ms=figures.switch_ms,
            pause_ms=figures.pause_ms if self._pivoted else None,
            rto_seconds=figures.rto_seconds,
            rpo_seconds=figures.rpo_seconds,
            requests=served.requests if stage.counts.counted else None,
            errors=served.failed if stage.counts.counted else None,
        )

    def _unfinished(self, wanted: str, said: str) -> UnfinishedError:
        before = f"{self._told[0]}; " if self._told else ""
        return UnfinishedError(
            f"{before}the switchover could not be {wanted} completely: {said}",
            where=f"resource {self._stage.resource}",
            remedy="traffic is served; run the switchover with state recovered",
        )
