"""The three files that tell a container who it is and whom to ask: /etc/hostname, /etc/hosts, /etc/resolv.conf."""

import ipaddress
import pathlib

from agent.kit import frozen

_HOSTS = pathlib.Path("/etc/hosts")
_RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
_OWN = "127.0.1.1"
"""Where Debian lets a host find its own name."""
_HOST_RESOLVERS = (pathlib.Path("/run/systemd/resolve/resolv.conf"), _RESOLV_CONF)
"""systemd-resolved's own list first: the one in /etc then names a loopback address that a container cannot reach."""

_LARGEST = 1 << 16
"""Bytes of a file that we read again after a container could write to it."""
_LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@frozen.value
class Identity:
    """A container's own names and addresses."""

    hostname: str
    addresses: tuple[str, ...]
    nameservers: tuple[str, ...]
    """Of its networks; empty: the host's own."""
    of_host: bool = False
    """It is in the host's network: the host's names and resolvers are its own, those on loopback included."""


def write(folder: pathlib.Path, identity: Identity) -> dict[str, str]:
    """Write the files into a folder and return where each belongs: path in the container -> path on the host.

    The folder is on the disk, beside the container's writable layer: a container that writes to them without end fills
    no memory of the host. They are new files at each start, whatever the container has made of the former ones.
    """
    contents = {
        "hostname": f"{identity.hostname}\n",
        "hosts": hosts(identity),
        "resolv.conf": _text(_RESOLV_CONF)
        if identity.of_host
        else resolv_conf(identity.nameservers or host_nameservers(), host_resolv_conf()),
    }
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in contents.items():
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    return {f"/etc/{name}": str(folder / name) for name in contents}


def follow(path: pathlib.Path, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Let a running container ask other servers than before: in place, since the file is mounted in it.

    One that the container has made another of is left as it is.
    """
    if before == after or not path.is_file() or path.stat().st_size > _LARGEST:
        return
    lines = path.read_text(errors="replace").splitlines()
    servers = tuple(line.split()[1] for line in lines if line.startswith("nameserver "))
    others = [line for line in lines if not line.startswith("nameserver ")]
    if servers == (before or host_nameservers()):
        path.write_text("\n".join((*(f"nameserver {server}" for server in after or host_nameservers()), *others, "")))


def hosts(identity: Identity) -> str:
    """Return /etc/hosts: loopback, and the container's own names at each of its addresses."""
    if identity.of_host:
        return f"{_text(_HOSTS)}{_OWN}\t{_names(identity.hostname)}\n"
    return _LOOPBACK + "".join(f"{address}\t{_names(identity.hostname)}\n" for address in identity.addresses)


def _names(hostname: str) -> str:
    """Return a host's name and, where it has a domain, the short form: ``hostname -s`` and its like look for it."""
    short = hostname.partition(".")[0]
    return hostname if short in {"", hostname} else f"{hostname} {short}"


def resolv_conf(nameservers: tuple[str, ...], host: str) -> str:
    """Return /etc/resolv.conf: the servers, and the host's ``search`` and ``options``.

    ``ndots:0`` unless the host says otherwise: a bare name is a name first, and to be searched for next.
    """
    words = [line.split() for line in host.splitlines()]
    domains = [tuple(line[1:]) for line in words if line[:1] in (["search"], ["domain"])]
    options = tuple(dict.fromkeys(word for line in words if line[:1] == ["options"] for word in line[1:]))
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    lines = [f"nameserver {address}" for address in nameservers]
    if domains and domains[-1] not in {(), (".",)}:  # the last one counts
        lines.append(" ".join(("search", *domains[-1])))
    return "\n".join((*lines, " ".join(("options", *options)), ""))


def host_resolv_conf() -> str:
    """Return the host's configuration of resolvers, systemd-resolved's own one where that is at work."""
    return next((_text(path) for path in _HOST_RESOLVERS if path.is_file()), "")


def host_nameservers() -> tuple[str, ...]:
    """Return the host's DNS servers that can be reached from a container: all but loopback."""
    words = [line.split() for line in host_resolv_conf().splitlines()]
    servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return tuple(server for server in servers if _reachable(server))


def _text(path: pathlib.Path) -> str:
    text = path.read_text(errors="replace") if path.is_file() else ""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _reachable(server: str) -> bool:
    try:
        return not ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
