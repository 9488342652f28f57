"""The steps after the pivot, in their order: the source becomes a shadow. Only forward."""

from __future__ import annotations

from foreshadow.domain.errors import DirectorError, UnreachableError
from foreshadow.switchover.stage import Stage, shares_in, spelled
from foreshadow.switchover.step import Step


class Retire(Step):
    """Takes the source out of the directors' checks, so that it may be frozen.

    Traffic is asserted once more: between a crash and its recovery a director may have come back
    from a reload with what it knew before.
    """

    name = "retire"

    def do(self, stage: Stage) -> str:
        """Assert, make sure that nothing is open, retire."""
        if stage.handed_over is not None:
            stage.ledger.acknowledge(stage.handed_over)
        keep_out(stage)
        return "; ".join((f"{stage.source} is out of traffic", *stage.put_right))

    def deadline(self, stage: Stage) -> float:
        """As long as requests may take."""
        return stage.spec.service.drain.timeout


def keep_out(stage: Stage) -> None:
    """Make sure that the source has no traffic, and is out of the checks, on every director.

    A director may come back from a reload, or from the dead, with what it knew before; or somebody
    changed it by hand. There is only forward now: it is put right, and told.

    :raises ServiceError: when the source still has requests open at its deadline.
    """
    everything = {stage.destination: 100}
    if not stage.shows(everything):
        _tell_what_is_wrong(stage, everything)
        stage.admit(stage.destination)
        stage.direct(everything)
    stage.empty(stage.source, may_be_gone=True)
    # A hot shadow too: what has been demoted must not catch requests when the primary dies.
    stage.retire(stage.source)


def _tell_what_is_wrong(stage: Stage, everything: dict[str, int]) -> None:
    for director in stage.ports.directors:
        for endpoint in director.read():
            shown = shares_in(endpoint.weights)
            told = f"{endpoint.name} showed {spelled(shown)}, which was put right"
            if shown != everything and told not in stage.put_right:
                stage.put_right.append(told)


class Persist(Step):
    """Makes the directors keep it over a reload, before the source may be put to rest.

    A director that comes back with what it knew before would send requests to a frozen source.
    """

    name = "persist"
    needs = ("retire",)

    def do(self, stage: Stage) -> str:
        """Persist on every director, once it shows what is to be kept."""
        told = len(stage.put_right)
        keep_out(stage)
        for director in stage.ports.directors:
            director.persist()
        return "; ".join(stage.put_right[told:])

    def verify(self, stage: Stage) -> None:
        """What was written is what was meant: nothing was reloaded in between.

        :raises DirectorError: when a director shows something else.
        """
        if not stage.shows({stage.destination: 100}):
            raise DirectorError(
                f"a director lost that all traffic is on {stage.destination} while it was kept",
                where=f"resource {stage.resource}",
            )


class Demote(Step):
    """Takes the role of the primary from the source."""

    name = "demote"
    resting = True
    needs = ("retire",)

    def do(self, stage: Stage) -> str:
        """Demote, unless it is still at work: its agent may have been silent when it was asked."""
        stage.require_idle(stage.source)
        stage.at(stage.source).demote(stage.resource, stage.token)
        return ""


class Freeze(Step):
    """Brings the source to rest: from now on it is the shadow to come back to."""

    name = "freeze"
    resting = True
    needs = ("retire", "demote")

    def do(self, stage: Stage) -> str:
        """Bring it to rest in the mode that it falls back to."""
        stage.require_idle(stage.source)
        mode = stage.mode_of(stage.source)
        rested = stage.at(stage.source).freeze(stage.spec, mode, stage.token)
        return f"{mode.value} shadow, {rested.state.value}"

    def deadline(self, stage: Stage) -> float:
        """A cold shadow has to stop first."""
        return 10.0 + stage.spec.service.stop_timeout


class Resync(Step):
    """Turns the state sync round: the destination sends now."""

    name = "resync"
    resting = True

    def do(self, stage: Stage) -> str:
        """Stop the source's schedule, then begin the destination's.

        A source that does not answer keeps its schedule, and every shadow refuses its old token.
        """
        followers = stage.others(stage.destination)
        try:
            stage.ports.sync.schedule(stage.source, (), stage.token)
        except UnreachableError:
            stopped = f"{stage.source} does not answer and is fenced off; "
        else:
            stopped = ""
        stage.ports.sync.schedule(stage.destination, followers, stage.token)
        return f"{stopped}{stage.destination} sends to {', '.join(followers)}"
