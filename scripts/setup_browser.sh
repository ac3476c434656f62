#!/usr/bin/env bash
# See that the tests of the web face have what they need: Chromium, which root may install with apt-get, and axe, which
# npm puts into a folder. A machine without them is an error: these tests are all that uses the pages, and a line in the
# log of a run that succeeds is read by nobody.
# SPARKWATER_WITHOUT_BROWSER=1 goes on without them; the tests are skipped then.
# Usage: setup_browser.sh [FOLDER OF NODE'S PACKAGES]
set -euo pipefail
here=$(dirname "$0")

# Usage: missing WHAT UNTESTED REASON
missing() {
    if [ -n "${SPARKWATER_WITHOUT_BROWSER:-}" ]; then
        echo "$1 is missing: $2 is not tested, as SPARKWATER_WITHOUT_BROWSER asks for"
        return
    fi
    echo "$1 is missing, and $3: install it, or set SPARKWATER_WITHOUT_BROWSER=1 to skip these tests" >&2
    exit 1
}

install_chromium() {
    reason="it is installed by root with apt-get alone"
    if [ -n "${SPARKWATER_WITHOUT_BROWSER:-}" ]; then
        return 1
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        reason="apt-get can't install it"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
        return
    fi
    return 1
}

command -v chromium >/dev/null || install_chromium || missing chromium "the web face" "$reason"
if [ $# -gt 0 ]; then
    axe=$1/node_modules/axe-core/axe.min.js
    [ -e "$axe" ] || "$here/setup_node.sh" "$1" # npm may be there by now
    [ -e "$axe" ] || missing axe "the web face's accessibility" "npm, which comes with Node, is what installs it"
fi
