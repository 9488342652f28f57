# Copyright: Foreshadow developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate `foreshadow.wire.gen` from the .proto files: messages, services, and their type stubs.

protoc lays its output out by the folders of the .proto files and imports it from the top of the
path. Ours lives flat in one package, so the modules are moved there and their imports rewritten.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "src/foreshadow/wire/proto"
GEN = ROOT / "src/foreshadow/wire/gen"
PACKAGE = "foreshadow.wire.gen"
HEADER = '"""Generated from the .proto files beside this package by `make proto`. Do not edit."""\n'


def generate(sources: list[Path], out: Path) -> None:
    """Run protoc with the Python, gRPC and stub generators."""
    # Brings google/protobuf/*.proto.
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{PROTO}", f"-I{well_known}"]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    if protoc.main(["protoc", *arguments, *map(str, sources)]) != 0:
        sys.exit("protoc failed: see the lines above")


def flat(text: str, folders: set[str]) -> str:
    """Rewrite imports of modules under `folders` so that they come from the one flat package."""
    for folder in folders:
        dotted = re.escape(folder.replace("/", "."))
        text = re.sub(rf"\bfrom {dotted} import (?=\w+_pb2)", f"from {PACKAGE} import ", text)
        text = re.sub(rf"\b{dotted}\.(?=\w+_pb2)", f"{PACKAGE}.", text)
    return re.sub(r"(?m)^import (\w+_pb2)\b", rf"from {PACKAGE} import \1", text)


def main() -> None:
    """Replace the contents of the generated package."""
    sources = sorted(PROTO.rglob("*.proto"))
    if not sources:
        sys.exit(f"no .proto file under {PROTO.relative_to(ROOT)}")
    folders = {str(source.parent.relative_to(PROTO)) for source in sources} - {"."}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        generate(sources, out)
        made = {path.name: flat(path.read_text(), folders) for path in sorted(out.rglob("*.py*"))}
    GEN.mkdir(parents=True, exist_ok=True)
    for old in GEN.glob("*_pb2*"):
        old.unlink()
    (GEN / "__init__.py").write_text(HEADER)
    for name, text in made.items():
        (GEN / name).write_text(text)
    print(f"{len(made)} modules in {GEN.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
