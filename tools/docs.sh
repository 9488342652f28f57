#!/usr/bin/env bash
# Build the reference of the collection's plugins and roles as HTML: build/docs/build/html/index.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python tools/stage.py copy build
rm -rf build/docs
mkdir -p build/docs
export ANSIBLE_COLLECTIONS_PATH=$PWD/build
antsibull-docs sphinx-init --use-current --squash-hierarchy \
  --sphinx-theme alabaster --lenient --fail-on-error --project Foreshadow --copyright "Foreshadow developers" \
  --title Foreshadow --html-short-title Foreshadow --dest-dir build/docs foreshadow.core > /dev/null

# The links into other projects' references need their servers: this build works offline, without them.
echo 'intersphinx_mapping = {}' >> build/docs/conf.py
build/docs/build.sh > build/docs/log 2>&1 || { tail -n 30 build/docs/log >&2; exit 1; }
echo "build/docs/build/html/index.html"
