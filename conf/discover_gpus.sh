#!/usr/bin/env bash
# Print this machine's GPUs as Spark's resource discovery expects them:
#   {"name": "gpu", "addresses": ["0", "1"]}
set -euo pipefail
indexes=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s\n' "$indexes" | tr -d ' ' | sed 's/.*/"&"/' | paste -sd, - | sed 's/,/, /g')
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
