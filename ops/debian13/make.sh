#!/usr/bin/env bash
# Make a Debian 13 root with what the agent and its tests need there: Python 3.13, Docker 26.1 with BuildKit, Compose 2.26, Podman 5.4.
#   ops/debian13/make.sh        makes build/debian13/tree
# Safe to run again: what is there and of this version stays. About a minute, by debootstrap, from the mirror that apt uses.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=$PWD/build/debian13 tree=$PWD/build/debian13/tree
packages=$(sed -n 's/^[A-Z]*_PACKAGES="\(.*\)"$/\1/p' ops/install.sh | tr '\n' ' ')
more="docker-cli docker-buildx netavark iptables ca-certificates procps make util-linux"
include=$(echo $packages $more | tr ' ' ',') # shellcheck disable=SC2086 # words
here=$(echo "trixie $include" | sha256sum | cut -c1-16)
if [ "$(cat "$home/.tree" 2>/dev/null || true)" != "$here" ]; then
    echo "==> Making a Debian 13 tree in build/debian13 (once)"
    command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } >/dev/null
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        awk '$1=="URIs:"{print $2} $1=="deb"{for(i=2;i<=NF;i++)if($i~/:\/\//){print $i;break}}' | grep -vi security | head -n 1 || true)
    rm -rf --one-file-system "$tree" "$home/.tree"
    mkdir -p "$home"
    # What it mounts, and would leave mounted, goes with the namespace.
    unshare --mount --propagation private debootstrap --variant=minbase --include="$include" trixie "$tree" "${mirror:-http://deb.debian.org/debian}" >"$home/log" 2>&1 || {
        tail -n 20 "$home/log" >&2
        exit 1
    }
    cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt" # those that this host trusts as well
    [ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$tree/etc/pip.conf"
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
    echo "$here" >"$home/.tree"
fi
