#!/usr/bin/env bash
# Sets up everything and runs the simulated patient through every stage.
# Usage: bash Testing/demo.sh [OUTPUT_FOLDER]            the simulated patient
#        bash Testing/demo.sh OUTPUT_FOLDER STUDY [...]  a real study folder, as `bmvascular run STUDY`
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
out="${1:-$BMV_ROOT/out/demo}"
if [ $# -ge 2 ]; then
  study="$2"; shift 2
  exec "$BMV_PYTHON" -m BMVascularCore run "$study" --out "$out" "$@"
fi
exec "$BMV_PYTHON" -m BMVascularCore demo --out "$out" --overwrite
