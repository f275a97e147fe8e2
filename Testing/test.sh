#!/usr/bin/env bash
# Sets up everything and runs the tests. Extra arguments go to pytest.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$BMV_ROOT"
"$BMV_PYTHON" -m ruff check .
"$BMV_PYTHON" -m ruff format --check --quiet .
exec "$BMV_PYTHON" -m pytest "$@"
