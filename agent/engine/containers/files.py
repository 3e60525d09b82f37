"""The three files that tell a container who it is and whom to ask: /etc/hostname, /etc/hosts, /etc/resolv.conf."""

import dataclasses
import ipaddress
import pathlib

_HOSTS = pathlib.Path("/etc/hosts")
_RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
_OWN = "127.0.1.1"
"""Where Debian lets a host find its own name."""
_HOST_RESOLVERS = (pathlib.Path("/run/systemd/resolve/resolv.conf"), _RESOLV_CONF)
"""systemd-resolved's own list first: the one in /etc then names a loopback address that a container cannot reach."""

_LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """A container's own names and addresses."""

    hostname: str
    addresses: tuple[str, ...]
    nameservers: tuple[str, ...]
    """Of its networks; empty: the host's own."""
    of_host: bool = False
    """It is in the host's network: the host's names and resolvers are its own, those on loopback included."""


def write(bundle: pathlib.Path, identity: Identity) -> dict[str, str]:
    """Write the files into the bundle and give where each belongs: path in the container -> path on the host."""
    contents = {
        "hostname": f"{identity.hostname}\n",
        "hosts": hosts(identity),
        "resolv.conf": _text(_RESOLV_CONF)
        if identity.of_host
        else resolv_conf(identity.nameservers or host_nameservers()),
    }
    for name, text in contents.items():
        path = bundle / name
        path.write_text(text)
        path.chmod(0o644)
    return {f"/etc/{name}": str(bundle / name) for name in contents}


def hosts(identity: Identity) -> str:
    """Give /etc/hosts: loopback, and the container's own name at each of its addresses."""
    if identity.of_host:
        return f"{_text(_HOSTS)}{_OWN}\t{identity.hostname}\n"
    return _LOOPBACK + "".join(f"{address}\t{identity.hostname}\n" for address in identity.addresses)


def resolv_conf(nameservers: tuple[str, ...]) -> str:
    """Give /etc/resolv.conf. ``ndots:0``: a container's bare name is a name, not something to search for."""
    return "".join(f"nameserver {address}\n" for address in nameservers) + "options ndots:0\n"


def host_nameservers() -> tuple[str, ...]:
    """Give the host's DNS servers that can be reached from a container: all but loopback."""
    for path in _HOST_RESOLVERS:
        if path.is_file():
            words = [line.split() for line in path.read_text(errors="replace").splitlines()]
            servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
            return tuple(server for server in servers if _reachable(server))
    return ()


def _text(path: pathlib.Path) -> str:
    text = path.read_text(errors="replace") if path.is_file() else ""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _reachable(server: str) -> bool:
    try:
        return not ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
