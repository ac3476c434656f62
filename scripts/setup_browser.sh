#!/usr/bin/env bash
# Install Chromium for the tests of the web face, where root may use apt; without a browser these tests are skipped.
set -euo pipefail
if command -v chromium >/dev/null; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "chromium is missing: the web face is not tested in a browser"
    exit 0
fi
(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) ||
    echo "apt-get can't install chromium: the web face is not tested in a browser"
