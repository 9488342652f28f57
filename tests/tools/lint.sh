#!/usr/bin/env bash
# Every static check, one after the other; the first that fails ends the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '\n== %s\n' "$*"; }

say "ruff: style"
ruff check
ruff format --check

say "mypy: types of the package, of the plugins as Ansible sees them, and of the tests"
mypy
mypy -p ansible_collections.foreshadow.core
mypy tests

say "import-linter: the floors"
lint-imports

say "ansible-lint: roles and playbooks"
ansible-lint --profile production --offline

say "antsibull: plugin documentation and change log"
python tools/stage.py copy build
antsibull-docs lint-collection-docs --plugin-docs build/ansible_collections/foreshadow/core
antsibull-changelog lint
