"""The Terraform modules by their own tests: each with a mocked provider, both together on moto.

That nothing is left to change after a switchover is seen by ``test_aws_guide.py``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.aws.machines import Machines
from tests.support.aws.records import Records
from tests.support.aws.server import running_cloud
from tests.support.aws.targets import Targets
from tests.support.terraform import SOURCES, MissingError, Terraform, find_terraform

pytestmark = pytest.mark.timeout(900)
MODULES = ("aws_host_pool", "aws_director")


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    try:
        return find_terraform(tmp_path_factory.mktemp("terraform"))
    except MissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    shutil.copytree(
        SOURCES, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
    )
    return tmp_path / "terraform"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_passes_its_own_tests(terraform: Terraform, sources: Path, module: str) -> None:
    folder = sources / "modules" / module
    terraform.run(folder, "init", "-backend=false", "-no-color")
    said = terraform.run(folder, "test", "-no-color")
    runs = said.count("... pass") - 1  # one line is the file's
    (file,) = (folder / "tests").glob("*.tftest.hcl")
    assert runs == file.read_text().count('\nrun "') > 0


def test_the_example_is_made_on_aws_and_taken_away(terraform: Terraform, sources: Path) -> None:
    machines = Machines()
    with running_cloud() as cloud:
        cloud.truths += [machines, Targets(), Records()]
        terraform.run(sources / "examples/aws", "init", "-backend=false", "-no-color")
        said = terraform.run(sources / "examples/aws", "test", "-no-color")
    assert "1 passed, 0 failed" in said
    assert len(machines.requests) == 1
    assert machines.alive() == []
