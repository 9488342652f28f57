"""The command ``foreshadow``: the agent, certificates and the report from a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foreshadow.cli.arguments import parser
from foreshadow.domain.errors import ForeshadowError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; an error is one line on standard error."""
    options = parser().parse_args(argv)
    try:
        options.run(options)
    except ForeshadowError as error:
        print(f"foreshadow: {error}", file=sys.stderr)
        return 1
    return 0
