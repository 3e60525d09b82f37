#!/bin/sh
# The whole suite, two tests at a time; those that share something (an engine, a subnet) follow one another in one process.
set -eu
cd "$(dirname "$0")/.."
exec_pytest() { .venv/bin/python -m pytest -q -n 2 --dist loadgroup "$@"; }

echo "==> Pure floors: unit, property and architecture tests, with coverage by branch"
exec_pytest tests/unit tests/property tests/architecture --cov --cov-branch --cov-report= --cov-fail-under=0
.venv/bin/python -m coverage report --skip-covered --fail-under=95 \
    --include='agent/model/*,agent/oci/*,agent/manifests/*,agent/plan/*,agent/kit/*'
echo "==> The real kernel and real engines: conformance, integration, crash and end-to-end tests"
exec_pytest --durations=10 tests/conformance tests/integration tests/crash tests/e2e
