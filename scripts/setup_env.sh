#!/usr/bin/env bash
# Make a virtual environment with the package, its tools and Horovod.
# Usage: setup_env.sh PYTHON FOLDER CONSTRAINTS EXTRAS
set -euo pipefail
python=$1 folder=$2 constraints=$3 extras=$4
here=$(dirname "$0")

"$here/check_prerequisites.sh" "$python"
echo "setting up $folder with $constraints; the first time takes some minutes"
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# Python compiles the modules that it imports; to compile all of them here would take a minute.
"$folder/bin/python" -m pip install --quiet --no-compile --constraint "$constraints" --editable ".[$extras]"
"$folder/bin/python" -m sparkwater.gpu.build_horovod
