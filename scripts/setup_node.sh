#!/usr/bin/env bash
# Put onnxruntime for Node into a folder, for the test of docs/bundle.md's JavaScript, and axe, for that of the web
# face's accessibility; without npm the first is skipped, and make test-flow fails.
# Usage: setup_node.sh FOLDER
set -euo pipefail
folder=$1
mkdir -p "$folder"
if ! command -v npm >/dev/null; then
    echo "npm is missing: neither the JavaScript of docs/bundle.md nor the web face's accessibility is tested"
    exit 0
fi
echo '{"private": true}' >"$folder/package.json"
# Its own install script would fetch GPU libraries; the package has those for processors.
npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error onnxruntime-node@1.30.0 axe-core@4.14.1 ||
    echo "npm can't install them: neither the JavaScript of docs/bundle.md nor the web face's accessibility is tested"
