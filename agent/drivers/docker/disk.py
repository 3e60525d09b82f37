"""The room that an engine's objects take, as the engine counts it; foreign ones are counted and never given up."""

import dataclasses
from typing import Any

from agent.drivers.docker import connection, images, names
from agent.runtime import disk


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """``runtime.disk.Disk`` over the Engine API."""

    engine: connection.Connection
    names: names.Names

    async def space(self) -> disk.Space | None:
        """Say nothing: engines do not tell, and may be on another host."""
        return None

    async def usage(self) -> disk.DiskUsage:
        """Ask the engine."""
        found = await self.engine.ask("system/df", "disk usage")
        superseded = {_bare(one): one for one in self.names.book.superseded()}
        listed = _entries(found, "Images")
        unused = [one for one in listed if _count(one, "Containers") == 0]
        free = {superseded[_bare(one["Id"])]: _own(one) for one in unused if _bare(one["Id"]) in superseded}
        containers, volumes = _entries(found, "Containers"), _entries(found, "Volumes")
        kept = [one.get("UsageData") or {} for one in volumes]
        return disk.DiskUsage(
            (
                disk.Share(
                    disk.Sort.IMAGES,
                    len(listed),
                    sum(_count(one, "Containers") > 0 for one in listed),
                    _count(found, "LayersSize") or sum(map(_own, listed)),  # Podman 4.3 does not add them up
                    sum(free.values()),
                ),
                disk.Share(
                    disk.Sort.CONTAINERS,
                    len(containers),
                    sum(one.get("State") == "running" for one in containers),
                    sum(_count(one, "SizeRw") for one in containers),
                ),
                disk.Share(
                    disk.Sort.VOLUMES,
                    len(volumes),
                    sum(_count(one, "RefCount") > 0 for one in kept),
                    sum(_count(one, "Size") for one in kept),
                ),
            ),
            tuple(sorted(free)),
        )

    async def prune(self) -> tuple[str, ...]:
        """Remove images of ours that have lost their names to newer ones; all others are somebody else's here."""
        return await images.sweep(self.engine, self.names.book)


def _entries(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return list(found.get(name) or ())


def _bare(image_id: str) -> str:
    """Give an image's id without its algorithm, which Podman leaves out here."""
    return image_id.removeprefix("sha256:")


def _own(image: dict[str, Any]) -> int:
    """Give the bytes of an image that no other one has."""
    return _count(image, "Size") - _count(image, "SharedSize")


def _count(entry: dict[str, Any], name: str) -> int:
    """Read a number; -1 is what engines say for what they do not know."""
    return max(0, int(entry.get(name) or 0))
