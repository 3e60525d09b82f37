"""Disk usage of an engine's objects, as the engine counts it; foreign ones are counted and never pruned."""

from typing import Any

from agent.drivers.docker import connection, images, names
from agent.kit import disk_space, frozen
from agent.runtime import disk


@frozen.value
class Disk:
    """``runtime.disk.Disk`` over the Engine API."""

    engine: connection.Connection
    names: names.Names

    async def space(self) -> disk_space.DiskSpace | None:
        """Return ``None``: engines do not report it, and may be on another host."""
        return None

    async def usage(self) -> disk.DiskUsage:
        """Return disk usage by kind of object, and the images that can be pruned."""
        answer = await self.engine.ask("system/df", "disk usage")
        superseded = {_without_algorithm(image_id): image_id for image_id in self.names.state_file.superseded()}
        listed = _entries(answer, "Images")
        unused = [image for image in listed if _count(image, "Containers") == 0]
        free = {
            superseded[_without_algorithm(image["Id"])]: _unshared_size(image)
            for image in unused
            if _without_algorithm(image["Id"]) in superseded
        }
        containers, volumes = _entries(answer, "Containers"), _entries(answer, "Volumes")
        kept = [volume.get("UsageData") or {} for volume in volumes]
        return disk.DiskUsage(
            (
                disk.Share(
                    disk.Sort.IMAGES,
                    len(listed),
                    sum(_count(image, "Containers") > 0 for image in listed),
                    _count(answer, "LayersSize") or sum(map(_unshared_size, listed)),  # Podman 4.3 does not add them up
                    sum(free.values()),
                ),
                disk.Share(
                    disk.Sort.CONTAINERS,
                    len(containers),
                    sum(container.get("State") == "running" for container in containers),
                    sum(_count(container, "SizeRw") for container in containers),
                ),
                disk.Share(
                    disk.Sort.VOLUMES,
                    len(volumes),
                    sum(_count(usage, "RefCount") > 0 for usage in kept),
                    sum(_count(usage, "Size") for usage in kept),
                ),
            ),
            tuple(sorted(free)),
        )

    async def prune(self) -> tuple[str, ...]:
        """Remove images of ours whose name a newer image has taken; all others belong to somebody else."""
        return await images.remove_superseded(self.engine, self.names.state_file)


def _entries(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return list(answer.get(name) or ())


def _without_algorithm(image_id: str) -> str:
    """Return an image's id without its algorithm, which Podman omits here."""
    return image_id.removeprefix("sha256:")


def _unshared_size(image: dict[str, Any]) -> int:
    """Return the bytes of an image that it shares with no other."""
    return _count(image, "Size") - _count(image, "SharedSize")


def _count(entry: dict[str, Any], name: str) -> int:
    """Return a number of an entry; engines write -1 for an unknown one, which counts as 0."""
    return max(0, int(entry.get(name) or 0))
