"""Twenty controllers start the same switchover at once, fifty times; once they are playbooks.

``RACES=N`` makes it so many times. What was said is counted in ``build/bench/race.json``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from foreshadow.domain.moves import Outcome
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.modules import COLLECTIONS
from tests.support.race import judge, race, way

CONTENDERS, RACES = 20, int(os.environ.get("RACES", "50"))
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
TALLY = Path("build/bench/race.json")

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    policy = {"steps": [100], "soak": 0}
    with running_fleet(tmp_path_factory.mktemp("fleet"), policy=policy) as running:
        yield running


def test_one_moves_and_the_others_say_who(fleet: Fleet) -> None:
    tally: Counter[str] = Counter()
    for number in range(1, RACES + 1):
        here, to = way(fleet)
        fleet.wait_for_state(to)
        before = len(fleet.ledger.switchovers(NAME))
        said = race(fleet, to, CONTENDERS)
        assert judge(fleet, to, said, before) == [], f"race {number}"
        fleet.assert_agreement(to, [here])
        tally.update(one.outcome for one in said)
        TALLY.parent.mkdir(parents=True, exist_ok=True)
        TALLY.write_text(json.dumps({"races": number, "said": tally}))


def test_one_playbook_moves_and_the_others_say_who(fleet: Fleet, tmp_path: Path) -> None:
    here, to = way(fleet)
    fleet.wait_for_state(to)
    before = len(fleet.ledger.switchovers(NAME))
    said = _playbooks(fleet, to, tmp_path)
    winner = fleet.ledger.switchovers(NAME)[0]
    assert (winner.outcome, len(fleet.ledger.switchovers(NAME))) == (Outcome.SWITCHED, before + 1)
    moved = [text for text in said if f"switched: {here} -> {to}" in text]
    refused = [text for text in said if re.search(r"is being moved by \S+:\d+:\d+", text)]
    late = [text for text in said if "unchanged: " in text]
    assert len(moved) == 1
    assert len(refused) + len(late) == CONTENDERS - 1, "\n".join(said)
    fleet.assert_agreement(to, [here])


def _playbooks(fleet: Fleet, to: str, folder: Path) -> list[str]:
    """Run the playbook of a move so many times at once; return what each printed."""
    known = fleet.connection
    inventory = folder / "inventory.yml"
    variables = {
        "foreshadow_ledger": known.ledger,
        "foreshadow_ca": known.ca,
        "foreshadow_cert": known.cert,
        "foreshadow_key": known.key,
        "foreshadow_resource": NAME,
        "foreshadow_to": to,
    }
    inventory.write_text(yaml.safe_dump({"all": {"vars": variables}}))
    environment = {
        **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1",
    }  # fmt: skip
    runs = [
        subprocess.Popen(
            [PLAYBOOK, "-i", inventory, "foreshadow.core.switchover"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(CONTENDERS)
    ]
    return [run.communicate(timeout=1800)[0] for run in runs]
