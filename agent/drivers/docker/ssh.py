"""An engine on another host, by the system's own ssh, with the configuration, keys and known hosts that people have.

Each connection of the client is one ``ssh HOST docker system dial-stdio``, as with Docker's own command line: the local
socket is handed to ssh as its input and output, so that nothing of ours stands in between.
"""

import asyncio
import contextlib
import pathlib
import socket
import subprocess
import tempfile
import urllib.parse
from collections.abc import AsyncIterator

from agent.drivers.docker import endpoint
from agent.kit import processes, tasks

_BACKLOG = 64


@contextlib.asynccontextmanager
async def tunnelled(where: endpoint.Endpoint) -> AsyncIterator[str]:
    """Give a local address for an engine behind ssh; ends with all that it has started. Raises ``BadEndpoint``."""
    words = command(where)
    with tempfile.TemporaryDirectory(prefix="trimtab-ssh-") as folder:
        path = pathlib.Path(folder, "engine.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
            listener.bind(str(path))
            listener.listen(_BACKLOG)
            async with tasks.Crew(_broken) as crew:
                crew.start(_serve(listener, words, crew), name="ssh tunnel")
                yield f"unix://{path}"


def command(where: endpoint.Endpoint) -> list[str]:
    """Give the command that connects its input and output with the engine. Raises ``BadEndpoint``."""
    parts = urllib.parse.urlsplit(where.url)
    if not parts.hostname or parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
        raise endpoint.BadEndpoint(f"{where} names no host", hint="write ssh://user@host[:port][/path/of/socket]")
    if parts.password:
        raise endpoint.BadEndpoint(f"{where} has a password in it", hint="ssh takes keys: ssh-copy-id")
    port = ["-p", str(parts.port)] if parts.port else []
    user = ["-l", parts.username] if parts.username else []
    option = {"docker": "--host", "podman": "--url"}[where.flavour]
    socket_path = [option, f"unix://{parts.path}"] if parts.path.strip("/") else []
    return [
        *("ssh", "-T", "-o", "ConnectTimeout=15", "-o", "BatchMode=yes", *port, *user, "--", parts.hostname),
        *(where.flavour, *socket_path, "system", "dial-stdio"),
    ]


async def _serve(listener: socket.socket, words: list[str], crew: tasks.Crew) -> None:
    loop = asyncio.get_running_loop()
    number = 0
    while True:
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.settimeout(None)
            number += 1
            ours = connection.fileno()
            process = subprocess.Popen(  # noqa: ASYNC220 - vfork returns at once
                words, stdin=ours, stdout=ours, stderr=subprocess.DEVNULL, start_new_session=True
            )
        crew.start(_see_to_its_end(process), name=f"ssh {number}")


async def _see_to_its_end(process: "subprocess.Popen[bytes]") -> None:
    try:
        await processes.wait(process.pid)
    finally:
        process.kill()
        process.wait()


def _broken(task: str, failure: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": f"{task} has failed", "exception": failure})
