#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, and use it from another folder.
# Usage: smoke_wheel.sh PYTHON CONSTRAINTS
set -euo pipefail
python=$1 constraints=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH

# From the files that git knows, so that nothing is in the wheel that a fresh clone doesn't have.
mkdir "$work/source"
git -C "$root" ls-files -z | (cd "$root" && xargs -0 cp --parents -t "$work/source")
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$work/source"
"$work/venv/bin/python" -m pip install --quiet --no-compile --constraint "$constraints" \
	"$(echo "$work"/sparkwater-*.whl)[spark]"
cp "$root/scripts/smoke.py" "$work"
cd "$work"
PYSPARK_PYTHON=$work/venv/bin/python SPARK_LOCAL_IP=127.0.0.1 "$work/venv/bin/python" smoke.py
