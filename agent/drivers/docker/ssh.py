"""A tunnel to an engine on another host, by the system's ssh with the user's configuration, keys and known hosts.

Each connection of the client is one ``ssh HOST docker system dial-stdio``, as with Docker's own command line: the local
socket is handed to ssh as its input and output, so that nothing of ours stands in between.
"""

import asyncio
import contextlib
import pathlib
import socket
import tempfile
import urllib.parse
from collections.abc import AsyncIterator

from agent.drivers.docker import endpoint
from agent.kit import isolation, processes, tasks

_BACKLOG = 64
_ENVIRONMENT = (*isolation.USER, "SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", *isolation.PROXIES)
"""Variables that ssh, its agent and a ProxyCommand need."""


@contextlib.asynccontextmanager
async def tunnel(where: endpoint.Endpoint) -> AsyncIterator[str]:
    """Yield a local address for an engine behind ssh; its processes end with the block. Raises ``BadEndpoint``."""
    words = command(where)
    if processes.which(words[0]) is None:
        raise endpoint.BadEndpoint(f"there is no ssh to reach {where} by", hint="install an ssh client")
    with tempfile.TemporaryDirectory(prefix="trimtab-ssh-") as folder:
        path = pathlib.Path(folder, "engine.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
            listener.bind(str(path))
            listener.listen(_BACKLOG)
            async with tasks.Crew() as crew:
                crew.start(_serve(listener, words, crew), name="ssh tunnel")
                yield f"unix://{path}"


def command(where: endpoint.Endpoint) -> list[str]:
    """Return the command that connects its input and output with the engine. Raises ``BadEndpoint``."""
    parts = urllib.parse.urlsplit(where.url)
    host, name = _host(parts), urllib.parse.unquote(parts.username or "")
    if not host or host.startswith("-") or name.startswith("-"):
        raise endpoint.BadEndpoint(f"{where} names no host", hint="write ssh://user@host[:port][/path/of/socket]")
    if parts.password:
        raise endpoint.BadEndpoint(f"{where} has a password in it", hint="ssh takes keys: ssh-copy-id")
    port = ["-p", str(parts.port)] if parts.port else []
    user = ["-l", name] if name else []
    option = {"docker": "--host", "podman": "--url"}[where.flavour]
    socket_path = [option, f"unix://{parts.path}"] if parts.path.strip("/") else []
    return [
        *("ssh", "-T", "-o", "ConnectTimeout=15", "-o", "BatchMode=yes", *port, *user, "--", host),
        *(where.flavour, *socket_path, "system", "dial-stdio"),
    ]


def _host(parts: urllib.parse.SplitResult) -> str:
    """Return the host in its original case: aliases in ssh's configuration are case-sensitive, URLs are not."""
    lowered = parts.hostname or ""
    begin = parts.netloc.lower().rfind(lowered)
    return parts.netloc[begin : begin + len(lowered)]


async def _serve(listener: socket.socket, words: list[str], crew: tasks.Crew) -> None:
    loop = asyncio.get_running_loop()
    number = 0
    while True:
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.settimeout(None)
            number += 1
            ours = connection.fileno()
            try:
                environment = isolation.environment(*_ENVIRONMENT)
                process = processes.spawn(words, processes.Streams(stdin=ours, stdout=ours), env=environment)
            except OSError:
                continue  # its end of the connection closes, which is all that the caller has to know
        crew.start(_wait_or_kill(process), name=f"ssh {number}")


async def _wait_or_kill(process: processes.Process) -> None:
    try:
        await processes.wait(process.pid)
    finally:
        await processes.end(process)  # with what it goes through: ProxyCommand
