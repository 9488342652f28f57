"""Terraform with its provider for AWS, from wherever this machine has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "terraform"
_PROVIDER = "registry.terraform.io/hashicorp/aws"
_ROOTS = ("/opt", "/usr/local", "/usr/share", "/usr/lib", "/srv", str(Path.home()))
_DEPTH = 4
_CACHE = ROOT / "build" / "terraform-plugins"
_INIT_SECONDS = 300


class MissingError(Exception):
    """What is missing, and where it was looked for."""


@dataclass(frozen=True)
class Terraform:
    """Terraform as one test uses it.

    :ivar environment: in which it finds its provider, and none of the caller's settings.
    """

    program: str
    environment: dict[str, str]

    def run(self, folder: Path, *words: str, status: int = 0) -> str:
        """Run it in a folder, and return what it printed.

        :raises AssertionError: when it ends with another status, with what it said.
        """
        done = subprocess.run(
            [self.program, *words],
            cwd=folder,
            env=self.environment | _aws_settings(),
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def find_terraform(folder: Path) -> Terraform:
    """Return Terraform, once it has been seen to find its provider.

    From a mirror folder where the machine has one, else from the registry, into ``build``.

    :param folder: for its settings and a trial.
    :raises MissingError: when there is no Terraform, or no provider can be had.
    """
    program = shutil.which("terraform")
    if program is None:
        raise MissingError("terraform is not on PATH")
    settings = folder / "terraform.rc"
    mirror = next(mirrors(), None)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("TF_")},
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
    }
    if mirror is None:
        _CACHE.mkdir(parents=True, exist_ok=True)
        settings.write_text(f'plugin_cache_dir = "{_CACHE}"\n')
    else:
        settings.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        )
    _try_out(program, environment, folder / "trial", mirror)
    return Terraform(program, environment)


def mirrors() -> Iterator[Path]:
    """Give the folders of this machine that mirror the provider, as Terraform lays them out."""
    for root in _ROOTS:
        for depth in range(_DEPTH):
            for found in Path(root).glob("/".join([*["*"] * depth, _PROVIDER])):
                if any(found.rglob("terraform-provider-aws*")):
                    yield found.parents[2]


def _try_out(program: str, environment: dict[str, str], folder: Path, mirror: Path | None) -> None:
    shutil.copytree(SOURCES / "modules" / "aws_director", folder, dirs_exist_ok=True)
    done = subprocess.run(
        [program, "init", "-backend=false", "-no-color"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
        timeout=_INIT_SECONDS,
    )  # fmt: skip
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "Error" in line), "")
        place = f"in {mirror}" if mirror else "in a mirror folder or in the registry"
        raise MissingError(f"there is no provider hashicorp/aws {place}: {said.strip(' │')}")


def _aws_settings() -> dict[str, str]:
    """Return how the cloud of the test is reached, as it is now."""
    return {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
