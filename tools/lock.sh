#!/usr/bin/env bash
# Write the locks from pyproject.toml: tools/lock.sh [--upgrade].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
upgrade=("$@")

# A lock must not depend on the machine that made it: no index, no folder of wheels and no settings of its own.
unset "${!PIP_@}" "${!UV_@}"

lock() {
  local name=$1
  shift
  uv --no-config pip compile "$@" --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file "requirements/$name.txt" >/dev/null
}

lock dev pyproject.toml --all-extras --group build --group dev "${upgrade[@]}"
lock build --group build --constraint requirements/dev.txt
lock runtime pyproject.toml --extra ansible --extra demo --extra forecast --extra report --constraint requirements/dev.txt
lock trace --group trace --no-deps "${upgrade[@]}"
