"""Command lines for Terraform, built by python-terraform.

python-terraform 0.10.1 is from 2019, and only two things of it are used: how it writes options
and how it passes variables through a file. It never runs a command here, never reads a state, and
no attribute is asked for that it would turn into a command.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foreshadow.domain.errors import TerraformError


@contextmanager
def command_line(
    program: str, words: str, *arguments: str, scratch: Path, options: Mapping[str, Any]
) -> Iterator[list[str]]:
    """Build one command line; its var file is there for as long as the block lasts.

    :param program: path of Terraform.
    :param words: the command, such as ``workspace list``.
    :param scratch: an empty folder, where python-terraform finds no state to read.
    :param options: by name: ``True`` is a flag, ``None`` is left out, a list repeats the option,
        and a mapping of variables becomes a var file; other values are written as text.
    :raises TerraformError: when python-terraform is not installed.
    """
    try:
        from python_terraform import IsFlagged, Terraform
    except ImportError:
        raise TerraformError(
            "python-terraform is not installed",
            where="terraform",
            remedy="install ansible-foreshadow[terraform]",
        ) from None
    # It logs variables as they are.
    logging.getLogger("python_terraform").disabled = True
    # One for each call: calls on one instance delete each other's var files.
    builder = Terraform(working_dir=str(scratch), terraform_bin_path=program)
    written = {
        name: IsFlagged if value is True else dict(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
    }
    try:
        yield builder.generate_cmd_string(words, *arguments, **written)
    finally:
        builder.temp_var_files.clean_up()


def find_program(name: str, path: str | None) -> str:
    """Return the path of Terraform.

    :param path: the search path.
    :raises TerraformError: when it is not there.
    """
    found = shutil.which(name, path=path)
    if found is None:
        raise TerraformError(
            f"there is no program {name}" + ("" if "/" in name else " on PATH"),
            where="terraform",
            remedy="install Terraform 1.11 or newer, or name the program",
        )
    return str(Path(found).absolute())
