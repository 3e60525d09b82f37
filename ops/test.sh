#!/bin/sh
# The whole suite; those tests that share something (an engine, a subnet) follow one another in one process. The pure ones
# keep a core busy each; those over the real kernel mostly wait, so there are more of them at a time. A part that fails
# does not keep the others from saying what they find.
set -eu
cd "$(dirname "$0")/.."
failed=""
part() {
    name=$1
    shift
    echo "==> $name"
    "$@" || failed="$failed
    $name"
}
run_pytest() { .venv/bin/python -m pytest -q --dist loadgroup "$@"; }
run_units() {
    run_pytest -n 2 tests/unit --cov=agent/model --cov=agent/oci --cov=agent/dockerfile --cov=agent/manifests \
        --cov=agent/plan --cov=agent/kit \
        --cov-branch --cov-report= --cov-fail-under=0 &&
        .venv/bin/python -m coverage report --skip-covered --fail-under=95
}
run_debian13() {
    ops/debian13/make.sh &&
        ENGINES=debian13 run_pytest -n 2 tests/conformance tests/e2e/test_engines.py -k "docker or podman"
}

part "Unit tests, with coverage by branch of the pure floors" run_units
part "Property and architecture tests" run_pytest -n 2 tests/property tests/architecture
part "The real kernel and real engines: conformance, integration, crash, compatibility and end-to-end tests" \
    run_pytest -n 3 --durations=10 tests/conformance tests/integration tests/crash tests/compat tests/e2e
part "The engines of Debian 13 (Docker 26.1, Podman 5.4): what drives them" run_debian13
[ -z "$failed" ] || { echo "==> Failed:$failed" && exit 1; } >&2
