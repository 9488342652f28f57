"""The generated code runs on every version of gRPC and protobuf that the package allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GEN = ROOT / "src/foreshadow/wire/gen"
_GRPC = re.compile(r"GRPC_GENERATED_VERSION = '([\d.]+)'")
_PROTOBUF = re.compile(r"Domain\.PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+),")


@pytest.mark.parametrize(
    ("package", "modules", "checked"),
    [("grpcio", "*_pb2_grpc.py", _GRPC), ("protobuf", "*_pb2.py", _PROTOBUF)],
)
def test_what_it_checks_is_the_lower_bound(
    package: str, modules: str, checked: re.Pattern[str]
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(line.split(">=", 1) for line in project["dependencies"])
    found = {
        ".".join(match.groups())
        for path in GEN.glob(modules)
        for match in checked.finditer(path.read_text())
    }
    assert found == {bounds[package]}
