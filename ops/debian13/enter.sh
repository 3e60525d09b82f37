#!/usr/bin/env bash
# Run a command on Debian 13: in a mount namespace of its own, whose root is build/debian13/tree.
#   ops/debian13/enter.sh [--net] [--bind FOLDER]... COMMAND...
# --net: in a network namespace of its own as well, with nothing but a loopback interface.
# This project and each FOLDER are seen at their own paths inside. A chroot would not do: Docker's daemon pivots its root.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd -P)
bound=("$here") namespaces=(--mount)
while :; do
    case "${1:-}" in
    --net) namespaces+=(--net) && shift ;;
    --bind) bound+=("$(realpath "$2")") && shift 2 ;;
    *) break ;;
    esac
done
exec unshare "${namespaces[@]}" --propagation private bash -c '
set -e
tree=$1; shift
mount --bind "$tree" "$tree"
for part in proc dev; do mount --rbind "/$part" "$tree/$part"; done
mount -t sysfs sysfs "$tree/sys" # of this network namespace
mount --rbind /sys/fs/cgroup "$tree/sys/fs/cgroup"
ip link set lo up
for part in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$tree/$part"; done
chmod 755 "$tree/run"
touch "$tree/etc/resolv.conf" && mount --bind "$(realpath /etc/resolv.conf)" "$tree/etc/resolv.conf"
while [ "$1" != -- ]; do
    mkdir -p "$tree$1"
    mount --bind "$1" "$tree$1"
    shift
done
shift
where=$PWD
cd "$tree"
mkdir -p .host
pivot_root . .host
umount -l /.host
cd "$where" 2>/dev/null || cd /
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec "$@"' enter "$here/build/debian13/tree" "${bound[@]}" -- "$@"
