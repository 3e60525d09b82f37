#!/bin/sh
# The whole suite; those tests that share something (an engine, a subnet) follow one another in one process. The pure ones
# keep a core busy each; those over the real kernel mostly wait, so there are more of them at a time.
set -eu
cd "$(dirname "$0")/.."
exec_pytest() { .venv/bin/python -m pytest -q --dist loadgroup "$@"; }

echo "==> Pure floors: unit, property and architecture tests, with coverage by branch"
exec_pytest -n 2 tests/unit tests/property tests/architecture --cov --cov-branch --cov-report= --cov-fail-under=0
.venv/bin/python -m coverage report --skip-covered --fail-under=95 \
    --include='agent/model/*,agent/oci/*,agent/manifests/*,agent/plan/*,agent/kit/*'
echo "==> The real kernel and real engines: conformance, integration, crash, compatibility and end-to-end tests"
exec_pytest -n 3 --durations=10 tests/conformance tests/integration tests/crash tests/compat tests/e2e
echo "==> The engines of Debian 13 (Docker 26.1, Podman 5.4): what drives them"
ops/debian13/make.sh
ENGINES=debian13 exec_pytest -n 2 tests/conformance tests/e2e/test_engines.py -k "docker or podman"
