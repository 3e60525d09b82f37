#!/bin/sh
# The whole suite. Parts that share the kernel's names run one after the other, the rest beside each other.
set -eu
cd "$(dirname "$0")/.."
exec_pytest() { .venv/bin/python -m pytest -q "$@"; }

echo "==> Pure floors: unit, property and architecture tests, with coverage"
exec_pytest -n 2 tests/unit tests/property tests/architecture \
    --cov --cov-branch --cov-report=term:skip-covered --cov-fail-under=0
.venv/bin/python -m coverage report --include='agent/model/*,agent/oci/*,agent/manifests/*,agent/plan/*,agent/kit/*' \
    --fail-under=95
echo "==> The real kernel: conformance, integration, crash and end-to-end tests"
exec_pytest tests/conformance tests/integration tests/crash tests/e2e
