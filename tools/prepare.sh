#!/bin/sh
# prepare.sh PYTHON VENV: create the virtual environment VENV with kvmnet (editable) and the tools that check it.
# prepare.sh --python: make sure that there is a python3, nothing else.
# Installs Python with apt (Debian) or dnf (EL) if the machine has none. Only that needs root.
set -eu
cd "$(dirname "$0")/.."

install() {  # install DEBIAN_PACKAGES... -- EL_PACKAGES...
  debian="" el="" list=debian
  for package; do
    if [ "$package" = -- ]; then list=el
    elif [ $list = debian ]; then debian="$debian $package"
    else el="$el $package"; fi
  done
  if command -v apt-get >/dev/null; then
    echo "prepare: installing$debian (about 20 s)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $debian >/dev/null
  elif command -v dnf >/dev/null; then
    echo "prepare: installing$el (about 30 s)"
    dnf install -y -q $el
  else
    echo "prepare: no apt-get and no dnf on this machine; install these packages, then try again:$debian" >&2
    exit 1
  fi
}

command -v python3 >/dev/null || install python3 python3-venv -- python3 python3-pip
[ "$1" = --python ] && exit 0

python=$1 venv=$2
"$python" -c 'import ensurepip' 2>/dev/null || install python3-venv -- python3 python3-pip
echo "prepare: creating the virtual environment $venv (about 30 s)"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
