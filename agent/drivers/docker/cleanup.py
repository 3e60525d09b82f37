"""Podman's own clean-up after a container has ended: a process of its own gives back addresses and names.

Whoever takes a network from a container before that has its address and name stay with Podman's DNS server for good,
and a network that is called the same later is never answered for.
"""

import asyncio

from agent import errors
from agent.drivers.docker import connection

LONGEST = 10.0
"""Seconds that a clean-up is waited for."""
_POLL = 0.02
_ENDED = "stopped"
"""Podman's state of a container that has ended and is not cleaned up yet; Docker's API calls it ``exited`` as well."""


async def awaited(engine: connection.Connection, identity: str) -> None:
    """Return once a container that has ended is cleaned up; at once over Docker, and for one that runs or is gone.

    Raises ``errors.Unavailable`` where it takes too long.
    """
    if engine.where.flavour != "podman":
        return
    deadline = asyncio.get_running_loop().time() + LONGEST
    while await _state(engine, identity) == _ENDED:
        if asyncio.get_running_loop().time() > deadline:
            raise errors.Unavailable(
                f"container {identity[:12]} has ended, and Podman has not cleaned it up within {LONGEST:g} s",
                hint="run podman container cleanup --all",
            )
        await asyncio.sleep(_POLL)


async def _state(engine: connection.Connection, identity: str) -> str:
    try:
        inspected = await engine.ask(f"v4.0.0/libpod/containers/{identity}/json", f"container {identity[:12]}")
    except errors.NotFound:
        return ""
    return str((inspected.get("State") or {}).get("Status"))
