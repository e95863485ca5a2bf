#!/bin/sh
# Installs the packages that sign.mjs and sign.py use into node_modules and venv beside this file. Does nothing when
# the same versions are already there. Either is left out with ONLY=npm or ONLY=pypi.
set -eu
cd "$(dirname "$0")"
only=${ONLY:-both}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() {
    echo "tests/sdk/setup.sh: $1" >&2
    tail -n 15 "$log" >&2
    exit 1
}

# The stamp is written last, so that an interrupted installation is done again.
current() {
    [ -f "$2" ] && cmp -s "$1" "$2"
}

if [ "$only" != pypi ] && ! current package.json node_modules/.installed; then
    command -v npm >/dev/null || fail "npm is not installed (node 20 or later is needed)"
    # No install scripts and no lock file: a lock file names the registry it was made with.
    npm install --no-package-lock --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
        --fetch-retries=1 --fetch-timeout=60000 >"$log" 2>&1 ||
        fail "npm install failed: is the npm registry reachable?"
    cp package.json node_modules/.installed
fi

if [ "$only" != npm ] && ! current requirements.txt venv/.installed; then
    command -v python3 >/dev/null || fail "python3 is not installed (3.11 or later is needed)"
    rm -rf venv
    python3 -m venv venv >"$log" 2>&1 || fail "python3 -m venv failed"
    venv/bin/python -m pip install --quiet --no-compile --only-binary :all: --disable-pip-version-check --retries 1 \
        -r requirements.txt >"$log" 2>&1 || fail "pip install failed: is the PyPI registry reachable?"
    cp requirements.txt venv/.installed
fi
