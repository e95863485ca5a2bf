#!/usr/bin/env bash
# Everything a change must pass, on a machine that has a Rust toolchain and little else.
# The tests come last, so that their summary ends the log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf '\n==> %s\n' "$*"; }
run() { step "$*"; "$@"; }

skipped=()
skip() { skipped+=("$*"); printf '\n!!! SKIPPED: %s\n' "$*" >&2; }

# Debian keeps the programs of PostgreSQL off PATH.
has_command() {
    command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

# Installs Debian packages for a command that is missing; says so where it cannot.
ensure_command() {
    local command=$1 as_root=()
    shift
    if has_command "$command"; then return; fi
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
    step "install $*"
    # The index may be stale or partly out of reach; installing is what tells.
    "${as_root[@]}" apt-get update -q || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" || true
    if ! has_command "$command"; then
        printf '\n!!! %s is missing and could not be installed\n' "$command" >&2
    fi
}

# Whether a component of the toolchain is there, or could be added.
has_component() {
    local component=$1 subcommand=$2
    if cargo "$subcommand" --version >/dev/null 2>&1; then return; fi
    if command -v rustup >/dev/null; then
        step "rustup component add $component"
        rustup component add "$component" || true
    fi
    cargo "$subcommand" --version >/dev/null 2>&1
}

# rustup changes PATH for new shells only.
if ! command -v cargo >/dev/null; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust 1.94 or later, see https://rustup.rs" >&2
    exit 1
fi
ensure_command cc gcc libc6-dev # rustc links with it
ensure_command curl curl        # the examples are called over HTTP
# The tests start servers of their own; a service that a package starts is not used.
ensure_command redis-server redis-server
ensure_command initdb postgresql

if has_component rustfmt fmt; then
    run cargo fmt --check
else
    skip "cargo fmt --check: rustfmt is missing"
fi

if has_component clippy clippy; then
    run cargo clippy --locked --all-targets --all-features -- -D warnings
    run cargo clippy --locked --lib --no-default-features -- -D warnings
else
    skip "cargo clippy: clippy is missing"
fi

run env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features

run bash scripts/examples.sh
run bash scripts/model.sh

# Providers' own packages, from two registries: where these are out of reach, the tests with them do not run.
step "tests/sdk/setup.sh"
if sh tests/sdk/setup.sh; then
    export TOWER_WEBHOOK_SDKS=require
else
    skip "requests signed and checked by providers' packages: they are not installed"
fi

if [ "${#skipped[@]}" -gt 0 ]; then
    printf '\n!!! SKIPPED in this run:\n'
    printf '!!!   %s\n' "${skipped[@]}"
fi

# Unit tests, tests/it, the examples' build and the documentation's examples.
run cargo test --locked --all-features
