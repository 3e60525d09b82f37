#!/bin/sh
# Installs what is missing on a Debian machine, and says what it does. Safe to run again at any time: what is there stays.
#   ops/install.sh run     what the agent needs
#   ops/install.sh packages    of that, Debian's packages alone
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
    if [ ! -e /usr/sbin/policy-rc.d ]; then # no service of an engine that only tests use is to start on this machine
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >.install.log 2>&1 || {
        cat .install.log >&2
        exit 1
    }
    rm -f .install.log
else
    echo "==> Debian packages: all there"
fi

[ "$purpose" != packages ] || exit 0

wanted=$(cat pyproject.toml agent/__init__.py ops/install.sh | sha256sum | cut -c1-16)
present=$(cat .venv/.trimtab-installed 2>/dev/null || true)
if [ ! -x .venv/bin/python ]; then
    echo "==> Making a virtual environment in .venv"
    python3 -m venv .venv
fi
if [ "$present" != "$wanted-$purpose" ] && [ "$present" != "$wanted-test" ]; then # what tests need includes the rest
    echo "==> Installing Python packages into .venv"
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable ".$extra"
    echo "$wanted-$purpose" >.venv/.trimtab-installed
else
    echo "==> Python packages: all there"
fi
