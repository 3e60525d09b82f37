"""How much of the disk an instance takes, as ``du`` measures it: in blocks, and what has many links is counted once."""

import os
import pathlib
from collections.abc import Iterable

from agent import errors
from agent.engine import layout
from agent.engine.containers import table
from agent.engine.images import collector
from agent.engine.volumes import volumes
from agent.kit import frozen, processes
from agent.reasons import Reason

_PATIENCE = 600.0
"""Seconds that measuring may take."""


@frozen.value
class Share:
    """Things of one sort."""

    count: int
    active: int
    """Used by containers; of containers those that run."""
    size: int
    """Bytes."""


@frozen.value
class Usage:
    """All that an instance keeps."""

    images: Share
    reclaimable: int
    """Bytes of images that nobody uses, and of what broken downloads have left."""
    containers: Share
    volumes: Share


async def measure(
    where: layout.Layout, images: collector.Collector, containers: table.Table, kept: volumes.Volumes
) -> Usage:
    """Measure an instance, beside whoever is at work in it. Raises ``errors.Unavailable`` where it cannot be."""
    records = containers.all()
    holdings = images.holdings()
    mounted = {mount.source for record in records for mount in record.spec.mounts if mount.type == "volume"}
    names = [volume.name for volume in kept.list()]
    running = sum(record.phase is table.Phase.RUNNING for record in records)
    used = holdings.ids & {record.image_id for record in records}
    return Usage(
        images=Share(len(holdings.ids), len(used), await _size([where.content, where.snapshots])),
        reclaimable=await _size(holdings.prunable),
        containers=Share(len(records), running, await _size([where.containers])),
        volumes=Share(len(names), len(mounted & set(names)), await _size([where.volumes])),
    )


async def _size(paths: Iterable[pathlib.Path]) -> int:
    """Return the bytes that trees take. What vanishes meanwhile takes none."""
    names = b"\0".join(os.fsencode(path) for path in paths)
    if not names:
        return 0
    words = ["du", "--summarize", "--block-size=1", "--one-file-system", "--null", "--files0-from=-"]
    try:
        done = await processes.run(words, processes.Options(stdin=names, timeout=_PATIENCE))
    except (processes.ProcessTimeout, FileNotFoundError) as error:
        raise errors.Unavailable(f"cannot measure: {error}", reason=Reason.HOST_FAILURE) from error
    return sum(int(line.partition(b"\t")[0]) for line in done.stdout.split(b"\0") if line)
