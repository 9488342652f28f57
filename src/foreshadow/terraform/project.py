"""A Terraform project: reading it, planning, and applying exactly what was planned."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3

from foreshadow.domain.errors import ForeshadowError, SpecError, TerraformError
from foreshadow.domain.near import unknown
from foreshadow.terraform.command import command_line, find_program
from foreshadow.terraform.complaints import complaint
from foreshadow.terraform.masks import Mask
from foreshadow.terraform.process import GRACE_SECONDS, Ended, run_to_end
from foreshadow.terraform.state import Difference, Snapshot, read_difference, read_snapshot

READ_SECONDS = 60.0
CHANGE_SECONDS = 1800.0
_NOTHING, _SOMETHING = 0, 2
"""What ``plan -detailed-exitcode`` ends with."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A saved plan, for as long as its file is there.

    :ivar file: holds values in clear, and so lies in a folder that only this user may read.
    """

    file: Path = field(repr=False)
    difference: Difference


@dataclass(frozen=True, slots=True)
class Project:
    """One folder of Terraform configuration.

    :ivar workspace: empty for the one that is selected.
    :ivar variables: by name, JSON types; they travel through a file, never in arguments.
    :ivar var_files: absolute paths.
    :ivar program: name or path of Terraform.
    :ivar data_dir: what Terraform calls TF_DATA_DIR, when the caller keeps it elsewhere.
    :ivar seconds: for a command that reads; ``None`` is :data:`READ_SECONDS`.
    :ivar change_seconds: for a command that plans or changes; ``None`` is :data:`CHANGE_SECONDS`.
    :ivar lock_seconds: how long to wait for a state that somebody has locked.
    """

    folder: Path
    workspace: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    var_files: Sequence[Path] = ()
    program: str = "terraform"
    data_dir: Path | None = None
    seconds: float | None = None
    change_seconds: float | None = None
    lock_seconds: float = 0.0
    grace: float = GRACE_SECONDS

    def snapshot(self) -> Snapshot:
        """Read the state.

        :raises UnknownNameError: when there is no such workspace.
        :raises ForeshadowError: when it cannot be read, in one line.
        """
        if self.workspace:
            self._expect_workspace()
        return read_snapshot(self._run("show", json=True, no_color=True).out, self._where)

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of the workspaces that there are."""
        # The one that the environment names would be listed whether it is there or not.
        lines = self._run("workspace list", selected=False).out.splitlines()
        return tuple(name for line in lines if (name := line.strip().removeprefix("* ")))

    def initialise(self) -> None:
        """Install modules and providers, and connect the backend; nothing is upgraded."""
        # Without a workspace: init refuses one that has yet to be made.
        self._run("init", selected=False, change=True, input=False, no_color=True)

    @contextmanager
    def plan(self, *, destroy: bool = False, replace: Sequence[str] = ()) -> Iterator[Plan]:
        """Plan, and keep the plan for as long as the block lasts.

        :param destroy: plan the end of everything.
        :param replace: addresses of resources to make anew.
        :raises RefusedError: when the state is locked; it names the holder.
        """
        with tempfile.TemporaryDirectory(prefix="foreshadow-terraform-") as folder:
            file = Path(folder) / "plan"
            self._run(
                "plan",
                change=True,
                good=(_NOTHING, _SOMETHING),
                out=str(file),
                destroy=destroy or None,
                replace=list(replace),
                detailed_exitcode=True,
                input=False,
                no_color=True,
                lock_timeout=f"{self.lock_seconds:g}s",
                var=dict(self.variables) or None,
                var_file=[str(path) for path in self.var_files],
            )
            shown = self._run("show", str(file), json=True, no_color=True)
            yield Plan(file, read_difference(shown.out, self._where))

    def apply(self, plan: Plan) -> None:
        """Do what a saved plan says.

        :raises StalePlanError: when the state has changed since.
        """
        self._run(
            "apply", str(plan.file), change=True, input=False, no_color=True,
            lock_timeout=f"{self.lock_seconds:g}s",
        )  # fmt: skip

    @property
    def _where(self) -> str:
        return f"terraform project {self.folder}"

    def _expect_workspace(self) -> None:
        known = self.workspaces()
        if self.workspace not in known:
            raise unknown("workspace", self.workspace, known, where=self._where)

    def _run(
        self, words: str, *arguments: str, selected: bool = True, change: bool = False,
        good: Sequence[int] = (0,), **options: Any,
    ) -> Ended:  # fmt: skip
        if not self.folder.is_dir():
            raise SpecError(
                "there is no such folder", where=self._where, remedy="name the project's folder"
            )
        environment = self._environment()
        if selected and self.workspace:
            environment["TF_WORKSPACE"] = self.workspace
        elif not selected:
            environment.pop("TF_WORKSPACE", None)
        if change:
            seconds = CHANGE_SECONDS if self.change_seconds is None else self.change_seconds
        else:
            seconds = READ_SECONDS if self.seconds is None else self.seconds
        call = _Call(self.program, self.folder, environment, seconds, self.grace)
        ended = call.run(words, arguments, options)
        if ended.late or ended.status not in good:
            error = complaint(ended, self._where, str(self.folder), words, seconds)
            raise _masked(error, Mask(self.variables, environment))
        return ended

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
        if self.data_dir is not None:
            environment["TF_DATA_DIR"] = str(self.data_dir)
        elif "TF_DATA_DIR" not in environment and _is_read_only(self.folder):
            environment["TF_DATA_DIR"] = str(_data_dir(self.folder, environment))
        return environment


def read_state_file(
    file: Path, *, program: str = "terraform", seconds: float | None = None
) -> Snapshot:
    """Read a state that was saved as a file.

    :raises ForeshadowError: when it is not there, or is no state, in one line.
    """
    where = f"terraform state {file}"
    if not file.is_file():
        raise SpecError("there is no such file", where=where, remedy="name a saved state")
    limit = READ_SECONDS if seconds is None else seconds
    environment = {**os.environ, "TF_IN_AUTOMATION": "1"}
    with tempfile.TemporaryDirectory(prefix="foreshadow-terraform-") as folder:
        # In an empty folder, so that no configuration beside the file has a say.
        call = _Call(program, Path(folder), environment, limit, GRACE_SECONDS)
        ended = call.run("show", (str(file.absolute()),), {"json": True, "no_color": True})
        if ended.late:
            raise complaint(ended, where, folder, "show", limit)
        if ended.status:
            raise TerraformError(
                "Terraform cannot read it as a state",
                where=where,
                remedy="save it anew with terraform state pull",
            )
    return read_snapshot(ended.out, where)


@dataclass(frozen=True, slots=True)
class _Call:
    """One run of Terraform: a folder, an environment, a deadline."""

    program: str
    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    seconds: float
    grace: float

    def run(self, words: str, arguments: Sequence[str], options: Mapping[str, Any]) -> Ended:
        program = find_program(self.program, self.environment.get("PATH"))
        with (
            tempfile.TemporaryDirectory(prefix="foreshadow-terraform-") as scratch,
            command_line(
                program, words, *arguments, scratch=Path(scratch), options=options
            ) as command,
        ):
            try:
                return run_to_end(command, self.folder, self.environment, self.seconds, self.grace)
            except OSError as error:
                raise TerraformError(
                    f"cannot be started: {(error.strerror or str(error)).lower()}",
                    where=f"terraform {program}",
                    remedy="install Terraform 1.11 or newer, or name the program",
                ) from None


def _masked(error: ForeshadowError, mask: Mask) -> ForeshadowError:
    return type(error)(mask.hide(error.problem), where=error.where, remedy=error.remedy)


def _is_read_only(folder: Path) -> bool:
    """Return whether Terraform could not write here what it keeps of a project."""
    kept = folder / ".terraform"
    return not kept.exists() and not os.access(folder, os.W_OK)


def _data_dir(folder: Path, environment: Mapping[str, str]) -> Path:
    """Return a folder of this user for what Terraform keeps of a read-only project."""
    cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = blake3(str(folder.absolute()).encode()).hexdigest(8)
    made = Path(cache) / "foreshadow" / "terraform" / name
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made
