#!/bin/sh
# Installs what is missing on a Debian machine, and says what it does. Safe to run again at any time: what is there stays.
#   ops/install.sh run     what the agent needs
#   ops/install.sh test    that, and what the test suite and the benchmarks need
set -eu
cd "$(dirname "$0")/.."

RUN_PACKAGES="crun runc conmon nftables aardvark-dns golang-github-containers-common iproute2 git busybox-static python3-venv"
TEST_PACKAGES="docker.io docker-compose docker-registry podman skopeo prometheus"

purpose="${1:-run}"
packages="$RUN_PACKAGES"
extra=""
if [ "$purpose" = test ]; then
    packages="$packages $TEST_PACKAGES"
    extra="[dev]"
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=""
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "==> Debian packages to install:$missing"
    as_root apt-get update -qq
    # Services of engines that only tests use must not start with the machine's own settings.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >.install.log 2>&1 || {
        cat .install.log >&2
        exit 1
    }
    rm -f .install.log
else
    echo "==> Debian packages: all there"
fi

wanted=$(cat pyproject.toml agent/__init__.py ops/install.sh | sha256sum | cut -c1-16)-$purpose
if [ ! -x .venv/bin/python ]; then
    echo "==> Making a virtual environment in .venv"
    python3 -m venv .venv
fi
if [ "$(cat .venv/.trimtab-installed 2>/dev/null)" != "$wanted" ]; then
    echo "==> Installing Python packages into .venv"
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable ".$extra"
    echo "$wanted" >.venv/.trimtab-installed
else
    echo "==> Python packages: all there"
fi
