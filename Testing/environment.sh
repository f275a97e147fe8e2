# Sourced by demo.sh and test.sh: makes the environment once and reuses it.
# Needs Debian 12 (or alike) with Python 3.11 or newer; everything else is installed by name.
set -euo pipefail
BMV_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
BMV_ENV="${BMV_ENV:-$BMV_ROOT/.venv}"

bmv_system_packages() {
  # VTK renders through EGL or OSMesa, Qt's offscreen platform loads a few system libraries
  local wanted=(python3-venv libegl1 libgl1 libgl1-mesa-dri libosmesa6 libxkbcommon0 libdbus-1-3 libfontconfig1 libxrender1 fonts-dejavu-core dicom3tools)
  local missing=()
  for package in "${wanted[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1; then sudo="sudo"; else
      echo "Please install: apt-get install ${missing[*]}" >&2
      return
    fi
  fi
  echo "Installing system packages: ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

bmv_python_environment() {
  local stamp="$BMV_ENV/.bmvascular-$(cksum < "$BMV_ROOT/pyproject.toml" | cut -d' ' -f1)"
  [ -f "$stamp" ] && return
  echo "Setting up Python packages in $BMV_ENV (once, about 2 GB)"
  [ -x "$BMV_ENV/bin/python" ] || python3 -m venv "$BMV_ENV"
  "$BMV_ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
  "$BMV_ENV/bin/python" -m pip install --quiet --disable-pip-version-check -e "$BMV_ROOT[test]"
  touch "$stamp"
}

if command -v dpkg-query >/dev/null 2>&1; then bmv_system_packages; fi
bmv_python_environment
BMV_PYTHON="$BMV_ENV/bin/python"
export QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}"
