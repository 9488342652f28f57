"""What may be written after ``foreshadow``."""

from __future__ import annotations

import argparse
import os
from importlib.metadata import version
from pathlib import Path

from foreshadow.cli import agent, pki, pool, report


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it finds has the function to call as ``run``."""
    top = argparse.ArgumentParser(
        prog="foreshadow",
        description="Moves a service to a pre-warmed shadow on another host before it degrades.",
    )
    top.add_argument("--version", action="version", version=version("ansible-foreshadow"))
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _agent(commands)
    _pki(commands)
    _pool(commands)
    _report(commands)
    return top


def _agent(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "agent", help="run the agent of a host", description="Run the agent of a host."
    )
    command.set_defaults(run=agent.run)
    command.add_argument("--host", required=True, help="name of the host, as in its certificate")
    command.add_argument(
        "--listen", required=True, metavar="ADDRESS:PORT", help="where controllers reach the agent"
    )
    command.add_argument(
        "--address", help="where the host's services listen (default: the address of --listen)"
    )
    command.add_argument(
        "--state-dir", required=True, type=Path, metavar="FOLDER", help="what the agent keeps"
    )
    for name, what in (
        ("ca", "certificate of the authority"),
        ("cert", "certificate of this agent"),
        ("key", "private key of --cert"),
    ):
        command.add_argument(f"--{name}", required=True, type=Path, metavar="FILE", help=what)
    command.add_argument(
        "--relay-socket",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="stats socket of a HAProxy beside the agent, to which it relays; repeatable",
    )
    command.add_argument(
        "--shared-machine",
        action="store_true",
        help="other agents run on this machine: refuse absolute state paths",
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--background",
        action="store_true",
        help="start the agent as a process of its own, unless it runs so already, and return",
    )
    how.add_argument(
        "--stop",
        action="store_true",
        help="end the agent that --background started, and the instances in its folder",
    )
    command.add_argument(
        "--sample-interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="between two samples of what primaries do (default: %(default)s)",
    )


def _pki(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "pki", help="make certificates", description="Make certificates for agents and controllers."
    )
    actions = command.add_subparsers(metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make an authority in a folder")
    init.set_defaults(run=pki.init)
    init.add_argument("folder", type=Path, metavar="FOLDER")
    issue = actions.add_parser("issue", help="issue a certificate, or renew it when it is due")
    issue.set_defaults(run=pki.issue)
    issue.add_argument("folder", type=Path, metavar="FOLDER")
    issue.add_argument("--kind", required=True, choices=("agent", "controller"))
    issue.add_argument("--name", required=True, help="of the host, or of the controller")
    issue.add_argument(
        "--address",
        action="append",
        default=[],
        help="IP address or DNS name at which the agent is reached; repeatable",
    )


def _pool(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "pool",
        help="create, grow, destroy or show a pool of hosts that Terraform owns",
        description="Create, grow, destroy or show a pool of hosts that Terraform owns.",
    )
    actions = command.add_subparsers(metavar="ACTION", required=True)
    for name, run, what in (
        ("apply", pool.apply, "make the pool be as its project says"),
        ("destroy", pool.destroy, "end every host of the pool"),
        ("show", pool.show, "tell the hosts of the pool"),
    ):
        action = actions.add_parser(name, help=what)
        action.set_defaults(run=run)
        _pool_source(action)
        if run is not pool.show:
            _pool_change(action)


def _pool_source(action: argparse.ArgumentParser) -> None:
    action.add_argument("project", type=Path, metavar="FOLDER", help="the Terraform project")
    action.add_argument("--workspace", default="", help="default: the one that is selected")
    action.add_argument(
        "--output", default="foreshadow_hosts", help="name of the output (default: %(default)s)"
    )
    action.add_argument("--query", metavar="JMESPATH", help="makes a list of hosts of the output")
    action.add_argument(
        "--terraform", default="terraform", metavar="PROGRAM", help="default: %(default)s"
    )
    action.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="that one call of Terraform may take"
    )
    action.add_argument("--json", action="store_true", help="print one line of JSON")


def _pool_change(action: argparse.ArgumentParser) -> None:
    action.add_argument("--check", action="store_true", help="only tell what would change")
    action.add_argument(
        "--variables",
        metavar="FILE",
        help="variables as a JSON object; - reads standard input",
    )
    action.add_argument(
        "--var-file", action="append", default=[], type=Path, metavar="FILE", help="repeatable"
    )
    action.add_argument(
        "--lock-timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for a locked state (default: %(default)g)",
    )
    action.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="until the agents answer, when there is a certificate (default: %(default)g)",
    )
    _certificate(action)


def _report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "report", help="write the report", description="Write the report as one HTML page."
    )
    command.set_defaults(run=report.run)
    command.add_argument("dest", type=Path, metavar="FILE", help="the page to write")
    command.add_argument(
        "--ledger",
        default=os.environ.get("FORESHADOW_LEDGER"),
        metavar="URL",
        help="such as sqlite:////var/lib/foreshadow/ledger.db (default: $FORESHADOW_LEDGER)",
    )
    _certificate(command)
    command.add_argument(
        "--resource",
        action="append",
        default=[],
        help="name of a resource to tell about; repeatable (default: all)",
    )
    command.add_argument(
        "--since", metavar="TIME", help="leave out what happened before, as 2026-11-24T08:00:00Z"
    )


def _certificate(command: argparse.ArgumentParser) -> None:
    for name in ("ca", "cert", "key"):
        command.add_argument(
            f"--{name}",
            default=os.environ.get(f"FORESHADOW_{name.upper()}"),
            metavar="FILE",
            help=f"for asking agents (default: $FORESHADOW_{name.upper()})",
        )
