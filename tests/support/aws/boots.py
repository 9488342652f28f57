"""What an EC2 instance does when it boots: cloud-init runs its user data, its agent is started.

The script that its launch template holds is run as it stands, below a folder of its own. Around it
is what a machine has: a metadata service, the AWS command line with the permissions of the
machine's profile, a Python, and a systemd that starts what was enabled.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.support.agents import end_instances
from tests.support.aws.machines import Machines, asked_address

_FOLDERS = ("/etc/", "/var/lib/", "/opt/")
_SCRIPT_SECONDS = 120

_CURL = """#!/bin/sh
case "$*" in
  *api/token*) echo token ;;
  *"X-aws-ec2-metadata-token: token"*local-ipv4) echo "$MACHINE_ADDRESS" ;;
  *) exit 22 ;;
esac
"""
_PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 1
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >"%s/installed"\\n' "$3" >"$3/bin/pip"
chmod +x "$3/bin/pip"
ln -sf "$FORESHADOW" "$3/bin/foreshadow"
"""
_SYSTEMCTL = """#!/bin/sh
case "$1" in
  daemon-reload) ;;
  enable) echo "$3" >>"$MACHINE_ROOT/enabled" ;;
  *) exit 1 ;;
esac
"""
_AWS = """#!{python}
import json, os, sys
import boto3

words = sys.argv[1:]
options = dict(zip(words[2:], words[3:]))
assert words[:2] == ["ssm", "get-parameter"] and "--with-decryption" in words, words
allowed = json.loads(os.environ["MACHINE_ALLOWED"])
if not any(arn.endswith(":parameter" + options["--name"]) for arn in allowed):
    sys.exit("AccessDenied: ssm:GetParameter of " + options["--name"])
client = boto3.client("ssm", region_name=options["--region"])
found = client.get_parameter(Name=options["--name"], WithDecryption=True)
print(found["Parameter"]["Value"])
"""


@dataclass
class Boots:
    """The machines behind the instances of a cloud.

    :ivar failed: what the user data of a machine said that could not boot.
    """

    machines: Machines
    folder: Path
    failed: dict[str, str] = field(default_factory=dict)
    _agents: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machines.boots, self.machines.ends = self.boot, self.end

    def boot(self, instance: str) -> None:
        """Boot a machine: its user data at the first time, what was enabled each time."""
        root = self.folder / instance
        if not (root / "enabled").exists():
            root.mkdir(parents=True, exist_ok=True)
            self._run_user_data(instance, root)
        self._start_enabled(instance, root)

    def end(self, instance: str, for_good: bool) -> None:
        """End a machine: its processes, and its disk when it is for good."""
        root = self.folder / instance
        for agent in self._agents.pop(instance, ()):
            agent.kill()
            agent.wait()
        end_instances(root)
        if for_good:
            shutil.rmtree(root, ignore_errors=True)

    def close(self) -> None:
        """End all of them."""
        self.machines.boots, self.machines.ends = lambda _: None, lambda _, __: None
        for instance in list(self._agents):
            self.end(instance, True)
        end_instances(self.folder)

    def log(self) -> str:
        """Return what agents and user data said, for a test that failed."""
        logs = [f"{path}:\n{path.read_text()}" for path in self.folder.rglob("*.log")]
        return "\n".join([*logs, *self.failed.values()])

    def _run_user_data(self, instance: str, root: Path) -> None:
        form = self.machines.requests[instance]
        template = _template(form)
        script = base64.b64decode(template["UserData"]).decode()
        for name in _FOLDERS:
            script = script.replace(name, f"{root}{name}")
        for name in ("etc/systemd/system", "var/lib", "opt"):
            (root / name).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["bash", "-s"], input=script, env=self._environment(root, form, template),
            capture_output=True, text=True, check=False, timeout=_SCRIPT_SECONDS,
        )  # fmt: skip
        if done.returncode:
            self.failed[instance] = f"user data: {done.returncode}\n{done.stdout}{done.stderr}"

    def _environment(
        self, root: Path, form: dict[str, str], template: dict[str, Any]
    ) -> dict[str, str]:
        tools = root / "tools"
        tools.mkdir(exist_ok=True)
        shims = {"curl": _CURL, "python3.11": _PYTHON, "systemctl": _SYSTEMCTL,
                 "aws": _AWS.format(python=sys.executable)}  # fmt: skip
        for name, text in shims.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        return {
            **os.environ,
            "PATH": f"{tools}:/usr/bin:/bin",
            "FORESHADOW": str(Path(sys.executable).with_name("foreshadow")),
            "MACHINE_ROOT": str(root),
            "MACHINE_ADDRESS": asked_address(form),
            "MACHINE_ALLOWED": json.dumps(_readable(template["IamInstanceProfile"]["Name"])),
        }

    def _start_enabled(self, instance: str, root: Path) -> None:
        enabled = root / "enabled"
        for name in enabled.read_text().split() if enabled.exists() else ():
            unit = (root / "etc/systemd/system" / name).read_text()
            (line,) = [one for one in unit.splitlines() if one.startswith("ExecStart=")]
            with (root / f"{name}.log").open("ab") as log:
                agent = subprocess.Popen(
                    # All of these machines are this one, so none may tell its load as its own.
                    [*shlex.split(line.removeprefix("ExecStart=")), "--shared-machine"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            self._agents.setdefault(instance, []).append(agent)


def _template(form: dict[str, str]) -> dict[str, Any]:
    """Return what the launch template of a request holds."""
    asked: dict[str, Any] = {"Versions": [form.get("LaunchTemplate.Version", "$Default")]}
    for key in ("LaunchTemplateId", "LaunchTemplateName"):
        if f"LaunchTemplate.{key}" in form:
            asked[key] = form[f"LaunchTemplate.{key}"]
    shown = boto3.client("ec2").describe_launch_template_versions(**asked)
    data: dict[str, Any] = shown["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def _readable(profile: str) -> list[str]:
    """Return the ARNs of the parameters that the policies of a profile's role let it read."""
    client = boto3.client("iam")
    (role,) = client.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    found: list[str] = []
    for name in client.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
        document = client.get_role_policy(RoleName=role["RoleName"], PolicyName=name)
        for statement in document["PolicyDocument"]["Statement"]:
            assert statement["Action"] == "ssm:GetParameter", statement
            found += statement["Resource"]
    return found
