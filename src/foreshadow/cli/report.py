"""``foreshadow report``."""

from __future__ import annotations

import argparse


def run(options: argparse.Namespace) -> None:
    """Write the report, unless the page that is there says the same."""
    # Loaded here, so that the other commands start without it.
    from foreshadow.operations.context import Connection, open_context
    from foreshadow.operations.render import render_report

    connection = Connection(options.ledger, options.ca, options.cert, options.key)
    with open_context(connection) as context:
        change = render_report(context, options.dest, options.resource, options.since)
        change.apply()
    print(f"{'written' if change.changed else 'unchanged'}: {options.dest}")
