#!/usr/bin/env bash
# What a change has to pass on Debian 13 with its Python: from a checkout of its own, `make run` as a newcomer types it, the unit and
# conformance tests, and those end-to-end tests that touch most of the host. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
ops/debian13/make.sh
checkout=$PWD/build/debian13/checkout
mkdir -p "$checkout"
(cd "$checkout" && find . -mindepth 1 -maxdepth 1 ! -name .venv ! -name build -exec rm -rf {} +)
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$checkout"
inside() { ops/debian13/enter.sh env -C "$checkout" "$@"; }
apart() { ops/debian13/enter.sh --net env -C "$checkout" "$@"; }

echo "==> Debian 13: what is missing is installed"
inside ops/install.sh test
echo "==> Debian 13: make run"
apart ops/debian13/try_quickstart.sh
echo "==> Debian 13: unit and conformance tests, and a part of the end-to-end tests"
apart .venv/bin/python -m pytest -q -n 2 --dist loadgroup -p no:cacheprovider tests/unit tests/conformance tests/e2e/test_agent.py tests/e2e/test_native.py tests/e2e/test_status.py \
    -k "not docker and not podman and not engine" "$@"
