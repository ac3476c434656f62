#!/usr/bin/env bash
# Install Chromium for the tests of the web face, where root may use apt. A machine without a browser is an error:
# these tests are all that uses the pages, and a line in the log of a run that succeeds is read by nobody.
# SPARKWATER_WITHOUT_BROWSER=1 goes on without one; the tests are skipped then.
set -euo pipefail
if command -v chromium >/dev/null; then
    exit 0
fi
if [ -n "${SPARKWATER_WITHOUT_BROWSER:-}" ]; then
    echo "chromium is missing: the web face is not tested, as SPARKWATER_WITHOUT_BROWSER asks for"
    exit 0
fi
reason="it is installed by root with apt-get alone"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; then
        exit 0
    fi
    reason="apt-get can't install it"
fi
echo "chromium is missing, and $reason: install it, or set SPARKWATER_WITHOUT_BROWSER=1 to skip these tests" >&2
exit 1
