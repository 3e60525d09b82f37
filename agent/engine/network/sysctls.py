"""Network settings (sysctl) that networks need. There are no events for them: they are checked at each relist."""

import contextlib
import pathlib

_NET = pathlib.Path("/proc/sys/net")
"""Settings of the calling thread's network namespace."""
_FORWARDING = _NET / "ipv4" / "ip_forward"
_OF_BRIDGE = (
    ("ipv4/conf/{}/route_localnet", "1"),  # ports published on 127.0.0.1 lead to containers
    ("ipv6/conf/{}/accept_ra", "0"),  # a container is no router of the host's
    ("ipv6/conf/{}/disable_ipv6", "1"),  # nobody reaches the host's services over fe80::
)


def of_bridge(bridge: str) -> list[str]:
    """Return what is not as it should be on a bridge, in sysctl's words; a kernel without IPv6 lacks nothing."""
    return [
        name.format(bridge).replace("/", ".")
        for name, value in _OF_BRIDGE
        if _read(_NET / name.format(bridge)) not in {value, None}
    ]


def set_bridge(bridge: str) -> None:
    """Set a bridge's settings where they are not so already."""
    for name, value in _OF_BRIDGE:
        path = _NET / name.format(bridge)
        if _read(path) not in {value, None}:
            path.write_text(value)


def without_ipv6() -> None:
    """Disable IPv6 for links created in the calling thread's namespace from now on."""
    path = _NET / "ipv6/conf/default/disable_ipv6"
    if _read(path) not in {"1", None}:
        path.write_text("1")


def is_forwarding() -> bool:
    """Return whether the host forwards packets."""
    return _read(_FORWARDING) == "1"


def turn_on_forwarding(marker: pathlib.Path, links: list[str]) -> None:
    """Turn on IP forwarding; where it was off, ``marker`` records the links present then.

    The host becomes a router by this for whoever is on the other end of those links. The firewall sees to it that
    nobody can use it as one.
    """
    if is_forwarding():
        return
    marker.write_text("\n".join(sorted({*turned_on_for(marker), *links})))
    _FORWARDING.write_text("1")


def turned_on_for(marker: pathlib.Path) -> tuple[str, ...]:
    """Return the links that packets are forwarded from only because we have turned it on; none where others have."""
    with contextlib.suppress(FileNotFoundError):
        return tuple(marker.read_text().split())
    return ()


def _read(path: pathlib.Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
