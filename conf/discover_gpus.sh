#!/usr/bin/env bash
# Print this machine's GPUs as Spark's resource discovery expects them:
#   {"name": "gpu", "addresses": ["0", "1"]}
# Where CUDA_VISIBLE_DEVICES is set, they are the GPUs that it lists, by the names that it gives them.
set -euo pipefail
indexes=$(printf '%s' "${CUDA_VISIBLE_DEVICES:-}" | tr ',' '\n')
[ -n "$indexes" ] || indexes=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s\n' "$indexes" | tr -d ' ' | sed 's/.*/"&"/' | paste -sd, - | sed 's/,/, /g')
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
