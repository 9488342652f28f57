#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: switchover
short_description: Plans, applies, reverses or recovers a switchover
version_added: 1.0.0
description:
  - Moves the traffic of a resource from its primary to a shadow without losing a request, and makes
    the old primary
    the next shadow.
  - Every step is written to the ledger before and after it happens. A run that was killed is
    finished or undone by
    the next run.
  - An error before the commit rolls everything back, and the task fails.
options:
  resource:
    description: Name of the resource. Only O(state=recovered) works without, and then recovers all.
    type: str
  to:
    description: Host of the shadow to move to.
    type: str
  plan_id:
    description: A stored plan to apply. It is refused when it is too old or saw another world.
    type: str
  decision_id:
    description: A decision to act on. Its guards are evaluated again before anything moves.
    type: str
  switchover_id:
    description: The switchover to reverse.
    type: str
  state:
    description:
      - V(planned) stores a plan, V(switched) moves, V(reversed) moves back, V(recovered) finishes
        or undoes what an
        interrupted run left, and takes no other option than O(resource).
    type: str
    choices: [planned, switched, reversed, recovered]
    default: switched
  drill:
    description:
      - Goes to the shadow, stays for the soak time, and comes back, to prove both ways.
      - One that came back within C(policy.drill_max_age) is not repeated;
        RV(switchover.outcome) then is V(unchanged).
      - Unlike another move by hand, it waits for C(policy.windows).
    type: bool
    default: false
  failover:
    description: The primary is dead. Its staleness is accepted.
    type: bool
    default: false
  accept_refusal:
    description: Does not fail when a guard refuses the move; RV(switchover.outcome) then is
      V(refused).
    type: bool
    default: false
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: What would a move to edge-b do?
  foreshadow.core.switchover:
    resource: checkout
    to: edge-b
    state: planned
  register: planned

- name: Do exactly that
  foreshadow.core.switchover:
    resource: checkout
    plan_id: "{{ planned.switchover.plan.id }}"

- name: Prove that edge-b could take over, and that there is a way back
  foreshadow.core.switchover:
    resource: checkout
    to: edge-b
    drill: true
  register: drilled

- name: Tell what it cost
  ansible.builtin.debug:
    msg: >-
      away in {{ drilled.switchover.rto_seconds }} s,
      back in {{ drilled.switchover.back.rto_seconds }} s,
      {{ drilled.switchover.errors }} of {{ drilled.switchover.requests }} requests failed

- name: Finish or undo whatever an interrupted run left
  foreshadow.core.switchover:
    state: recovered
"""

RETURN = r"""
---
switchover:
  description: The switchover.
  returned: when a resource is given, also when the move was rolled back
  type: dict
  contains:
    id:
      description: Its identity in the ledger; null when it was only planned.
      type: str
    outcome:
      description: V(planned), V(unchanged), V(switched), V(reversed), V(recovered), V(rolled_back)
        or V(refused).
      type: str
    source:
      description: The host that the traffic leaves.
      type: str
    destination:
      description: The host that the traffic goes to.
      type: str
    steps:
      description: The journal, step by step.
      type: list
      elements: dict
    pivoted:
      description: Whether it has committed. From then on it is only finished, never undone.
      type: bool
    direction:
      description: What a recovery did, V(finished) or V(undone); else null.
      type: str
    started_at:
      description: When it began, in ISO 8601.
      type: str
    ended_at:
      description: When it ended; null while something is left to do.
      type: str
    plan:
      description: What the plan saw and does.
      type: dict
    decision_id:
      description: The decision that it acts on.
      type: str
    switch_ms:
      description: Milliseconds from the start of the activation until all new requests go to the
        destination.
      type: float
    pause_ms:
      description: Milliseconds for which requests were held, as measured beside the load balancers.
        Where one does not know, as after its restart, from before the first was told to hold until
        the last had answered that it let go.
      type: float
    rto_seconds:
      description: Seconds from the start until all new requests go to the destination.
      type: float
    rpo_seconds:
      description: Age of the state on the destination at the commit.
      type: float
    convergence:
      description:
        - For directors whose answers are cached, as those of DNS are, a row for each server and
          each named resolver; otherwise empty.
        - C(director) and C(server) name it, C(authoritative) is false for a resolver,
          C(converged_at) is when it first led to the destination, C(ttl) the largest TTL in
          seconds that it gave, C(overstayed) the seconds for which it kept the old answer beyond
          its TTL, and C(problem) why it did not answer.
      type: list
      elements: dict
    requests:
      description: Requests that the destination served until the commit, as its directors counted
        them; null where they do not count.
      type: int
    errors:
      description: Those among them that the destination failed. Another host may have answered them
        then.
      type: int
    back:
      description: The way back of a drill, with the same keys.
      returned: with O(drill)
      type: dict
    error:
      description: Why it was refused or rolled back, or what is left to do, in one line; else null.
      type: str
    refused_by:
      description: The guards that refused the move, with RV(switchover.outcome=refused).
      type: list
      elements: str
switchovers:
  description: What was recovered, each as above, with C(direction) V(finished) or V(undone).
  returned: when recovering without a resource
  type: list
  elements: dict
recovered:
  description: What an earlier run had left and was ended before the move, each as above.
  returned: when there was something
  type: list
  elements: dict
failure:
  description: What went wrong, in parts.
  returned: on failure
  type: dict
  contains:
    code:
      description: Its kind, such as V(rolled_back), V(unreachable) or V(spec).
      type: str
    where:
      description: What it is about.
      type: str
    problem:
      description: What is wrong.
      type: str
    remedy:
      description: The way out.
      type: str
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change

REQUEST = ("to", "plan_id", "decision_id", "switchover_id", "state", "drill", "failover")


def plan(context, params):
    """Return the change that the switchover, or the recovery, would make."""
    from foreshadow.operations.switch import SwitchRequest, switch_over

    request = {name: params[name] for name in REQUEST}
    return switch_over(context, SwitchRequest(resource=params["resource"], **request))


def judge(accept_refusal, result):
    """Return what the outcome means for the task: it changed what it moved itself."""
    from foreshadow.operations.switch_shown import left_alone

    switchover = result.get("switchover") or {}
    told = {"changed": False} if left_alone(result) else {}
    if switchover.get("outcome") == "rolled_back":
        return {"failed": True, "msg": switchover["error"]}
    if switchover.get("outcome") == "refused":
        return {"failed": not accept_refusal, "msg": switchover["error"], **told}
    return told


def main():
    module = new_module(
        {
            "resource": {"type": "str"},
            "to": {"type": "str"},
            "plan_id": {"type": "str"},
            "decision_id": {"type": "str"},
            "switchover_id": {"type": "str"},
            "state": {
                "type": "str",
                "choices": ["planned", "switched", "reversed", "recovered"],
                "default": "switched",
            },
            "drill": {"type": "bool", "default": False},
            "failover": {"type": "bool", "default": False},
            "accept_refusal": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("to", "plan_id", "decision_id", "switchover_id")],
        required_if=[
            ("state", "planned", ["resource"]),
            ("state", "planned", ["to", "decision_id"], True),
            ("state", "switched", ["resource"]),
            ("state", "switched", ["to", "plan_id", "decision_id"], True),
            ("state", "reversed", ["resource", "switchover_id"]),
        ],
    )
    run_change(module, plan, lambda result: judge(module.params["accept_refusal"], result))


if __name__ == "__main__":
    main()
