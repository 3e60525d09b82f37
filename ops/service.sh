#!/bin/sh
# Puts trimtab on this host as the service that ops/systemd/trimtab.service describes, or takes it away. Safe to repeat.
#   ops/service.sh install      the program in /opt/trimtab, /usr/bin/trimtab, the unit, /etc/trimtab/manifests, group trimtab
#   ops/service.sh uninstall    all of it but what is declared, the state and the group; containers keep running
# DESTDIR: put files below it, and do nothing to the running system. WHEEL: install that wheel instead of this checkout.
set -eu
cd "$(dirname "$0")/.."

DESTDIR="${DESTDIR:-}"
WHEEL="${WHEEL:-}"
HOME_DIR=/opt/trimtab
LINK=/usr/bin/trimtab
UNIT=/etc/systemd/system/trimtab.service
MANIFESTS=/etc/trimtab/manifests

is_live() { [ -z "$DESTDIR" ]; }
has_systemd() { is_live && [ -d /run/systemd/system ]; }

require_root() {
    if is_live && [ "$(id -u)" != 0 ]; then
        echo "error: /opt, /usr and /etc are root's" >&2
        echo " hint: sudo make $1" >&2
        exit 1
    fi
}

require_ours() { # what somebody else has put there stays
    link="$DESTDIR$LINK"
    if [ -e "$link" ] || [ -L "$link" ]; then
        if [ "$(readlink "$link" || true)" != "$HOME_DIR/bin/trimtab" ]; then
            echo "error: $link is not a link to $HOME_DIR/bin/trimtab: somebody else has put it there" >&2
            echo " hint: remove it, and run this again" >&2
            exit 1
        fi
    fi
}

without_destdir() { # a staged environment is to work where it is going to be
    is_live || grep -rlI -- "$DESTDIR" "$DESTDIR$HOME_DIR/bin" "$DESTDIR$HOME_DIR/pyvenv.cfg" | xargs -r sed -i "s|$DESTDIR||g"
}

installed_by_pip() { "$DESTDIR$HOME_DIR/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$@"; }

install_service() {
    require_root install
    require_ours
    echo "==> The program: $HOME_DIR"
    [ -x "$DESTDIR$HOME_DIR/bin/python" ] || python3 -m venv "$DESTDIR$HOME_DIR"
    if [ -z "$WHEEL" ]; then # from a copy: building leaves files, and takes those that an earlier build has left
        copy=$(mktemp -d)
        trap 'rm -rf "$copy"' EXIT
        cp -R agent crds ops LICENSE README.md pyproject.toml "$copy"
        WHEEL="$copy"
    fi
    installed_by_pip --upgrade "$WHEEL"
    installed_by_pip --no-deps --force-reinstall "$WHEEL" # the same version from another commit is another program
    without_destdir
    echo "==> The command and the unit: $LINK, $UNIT"
    mkdir -p "$DESTDIR$(dirname $LINK)" "$DESTDIR$(dirname $UNIT)"
    ln -sfn "$HOME_DIR/bin/trimtab" "$DESTDIR$LINK"
    install -m 644 ops/systemd/trimtab.service "$DESTDIR$UNIT"
    echo "==> Where manifests go: $MANIFESTS"
    mkdir -p "$DESTDIR$MANIFESTS"
    if is_live && ! getent group trimtab >/dev/null; then
        echo "==> The group trimtab, whose members may ask the agent"
        groupadd --system trimtab
    fi
    if has_systemd; then
        systemctl daemon-reload
        systemctl try-restart trimtab.service # an agent that runs becomes the new one; containers keep running
    fi
    echo "==> Next: trimtab doctor; manifests into $MANIFESTS; systemctl enable --now trimtab"
}

uninstall_service() {
    require_root uninstall
    if has_systemd && [ -e "$UNIT" ]; then
        echo "==> Stopping the service; containers keep running"
        systemctl disable --now trimtab.service
    fi
    echo "==> Removing $UNIT, $LINK, $HOME_DIR"
    rm -f "$DESTDIR$UNIT"
    [ "$(readlink "$DESTDIR$LINK" || true)" != "$HOME_DIR/bin/trimtab" ] || rm -f "$DESTDIR$LINK"
    [ ! -e "$DESTDIR$HOME_DIR/pyvenv.cfg" ] || rm -rf "$DESTDIR$HOME_DIR"
    if has_systemd; then systemctl daemon-reload; fi
    echo "==> Kept: /etc/trimtab, /var/lib/trimtab, the group trimtab, Debian's packages (ops/docs/uninstall.md)"
}

case "${1:-}" in
install) install_service ;;
uninstall) uninstall_service ;;
*)
    echo "usage: ops/service.sh install|uninstall" >&2
    exit 64
    ;;
esac
