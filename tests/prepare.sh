#!/bin/sh
# prepare.sh PYTHON VENV: a virtual environment with kvmnet (editable) and what its tests need.
# prepare.sh --python: a python3 with venv alone.
# Installs Python where the machine has none: apt on Debian, dnf on EL. Only then root is needed.
set -eu
cd "$(dirname "$0")/.."

install() {  # install DEBIAN_PACKAGES... -- EL_PACKAGES...
  debian="" el="" to=debian
  for word; do
    if [ "$word" = -- ]; then to=el; elif [ $to = debian ]; then debian="$debian $word"; else el="$el $word"; fi
  done
  if command -v apt-get >/dev/null; then
    echo "prepare: installing$debian (about 20 s)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $debian >/dev/null
  elif command -v dnf >/dev/null; then
    echo "prepare: installing$el (about 30 s)"
    dnf install -y -q $el
  else
    echo "prepare: this machine has neither apt-get nor dnf; install by hand:$debian" >&2
    exit 1
  fi
}

command -v python3 >/dev/null || install python3 python3-venv -- python3 python3-pip
[ "$1" = --python ] && exit 0

python=$1 venv=$2
"$python" -c 'import ensurepip' 2>/dev/null || install python3-venv -- python3 python3-pip
echo "prepare: the virtual environment $venv (about 30 s)"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
