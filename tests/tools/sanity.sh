#!/usr/bin/env bash
# Run `ansible-test sanity` on a staged copy of the collection, with no ignore file and no test skipped.
# Arguments go to ansible-test, such as the name of one module, or --prime-venvs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python tools/stage.py copy build

# ansible-test keeps its virtual environments under HOME. This home is ours: the first run fills it, later runs work
# offline, and neither depends on the home of whoever runs it.
export HOME=$PWD/build/ansible-test
cache=$HOME/.ansible/test/cache
mkdir -p "$cache"

# ansible-test downloads a script that brings pip into an empty virtual environment. Python has pip within itself, in
# `ensurepip`, so we put a script that uses it where the download would be cached, under the name that this release of
# ansible-test looks for.
version=$(python -c '
from ansible_test._internal.host_configs import NativePythonConfig
from ansible_test._internal.python_requirements import get_venv_packages
import sys
print(get_venv_packages(NativePythonConfig(version="%d.%d" % sys.version_info[:2], path=sys.executable))["pip"])')
cat > "$cache/get_pip_${version//./_}.py" <<'PYTHON'
import subprocess
import sys

packages = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *packages]))
PYTHON

cd build/ansible_collections/foreshadow/core
ansible-test sanity --local --python "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
  --color no --requirements "$@"
