#!/usr/bin/env bash
# Runs the unit tests with the oldest packages a supported Slicer brings (5.10: no highdicom, pydicom 2.4).
# Extra arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
environment="${BMV_OLDEST_ENV:-.venv-oldest}"
if [ ! -x "$environment/bin/pytest" ]; then
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.0.2 scipy==1.13.1 pydicom==2.4.4 SimpleITK==2.5.2 pytest
fi
exec "$environment/bin/python" -m pytest Testing/Python/unit "$@"
