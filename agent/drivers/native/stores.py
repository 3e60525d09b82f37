"""The roles of the native runtime beside containers: images, networks and volumes."""

import dataclasses
import pathlib

from agent.drivers.native import failures, translate
from agent.engine import engine as engines
from agent.engine import usage
from agent.engine.images import images, rootfs, saving
from agent.model import image, network, secret, volume
from agent.model.key import DELETION_POLICY_LABEL, Pairs, pairs
from agent.oci import auths, reference
from agent.runtime import api, disk, errors

_ROOT = tuple(field.name for field in dataclasses.fields(api.RootImage))


@dataclasses.dataclass(frozen=True, slots=True)
class Images:
    """``runtime.api.Images`` over the engine."""

    engine: engines.Engine

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Give all images, sorted by reference."""
        return tuple(
            image.ObservedImage(
                record.id, record.reference, record.labels, record.size, record.digests, verified=record.verified
            )
            for record in self.engine.images.list()
        )

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Show them to registries."""
        self.engine.registry.use(
            {one.place: auths.Credentials(one.user, one.password, one.identity_token) for one in logins}
        )

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull or load it."""
        report = _reporting(progress)
        with failures.translated():
            match config.source:
                case image.PullSource(platform):
                    await self.engine.images.pull(config.reference, platform, labels, report, pinned)
                case image.ArchiveSource():
                    path = pathlib.Path(config.source.path)
                    await self.engine.images.load(path, config.reference, labels, report)
        return next(one for one in await self.list() if one.reference == config.reference)

    async def digest(self, name: str) -> str:
        """Ask the registry."""
        with failures.translated():
            return await self.engine.registry.digest(reference.parse(name))

    async def tags(self, name: str) -> tuple[str, ...]:
        """Ask the registry."""
        with failures.translated():
            return await self.engine.registry.tags(reference.parse(name))

    async def remove(self, name: str) -> None:
        """Drop the reference, and the content that nothing else uses."""
        with failures.translated():
            self.engine.images.look(name)
            users = [record.name for record in self.engine.table.all() if record.spec.image == name]
            if users:
                raise errors.InUse(f"image {name} is used by {', '.join(users)}", hint="remove the container first")
            await self.engine.images.remove(name)

    async def tag(self, name: str, new: str) -> None:
        """Keep it under one more reference."""
        with failures.translated():
            self.engine.shipping.tag(name, new)

    async def push(self, name: str, target: str, progress: api.ProgressSink) -> str:
        """Push it."""
        with failures.translated():
            return await self.engine.shipping.push(name, target, _reporting(progress))

    async def save(
        self, references: tuple[str, ...], form: api.ArchiveFormat, out: api.Sink, progress: api.ProgressSink
    ) -> None:
        """Write an archive of them."""
        with failures.translated():
            await self.engine.shipping.save(references, saving.Format(form.value), out, _reporting(progress))

    async def load(self, path: str, reference: str, progress: api.ProgressSink) -> tuple[str, ...]:
        """Load all images of an archive."""
        with failures.translated():
            found = await self.engine.shipping.load(pathlib.Path(path), reference, _reporting(progress))
        return tuple(one.reference for one in found)

    async def import_root(self, path: str, reference: str, root: api.RootImage, progress: api.ProgressSink) -> None:
        """Make an image of a root file system."""
        told = rootfs.Root(self.engine.clock.now(), **{name: getattr(root, name) for name in _ROOT})
        with failures.translated():
            await self.engine.shipping.import_root(pathlib.Path(path), reference, told, _reporting(progress))


def _reporting(progress: api.ProgressSink) -> images.Report:
    """Give on what the engine says of its progress."""
    return lambda told: progress(api.Progress(told.message, told.done, told.total or None))


@dataclasses.dataclass(frozen=True, slots=True)
class Networks:
    """``runtime.api.Networks`` over the engine."""

    engine: engines.Engine

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Give all networks, sorted by name."""
        networks = self.engine.networks
        return tuple(translate.observed_network(record, healthy=networks.healthy(record)) for record in networks.list())

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Make it, or mend it and give it its new labels."""
        with failures.translated():
            await self.engine.networks.create(translate.network_spec(config, labels))

    async def remove(self, name: str) -> None:
        """Remove it."""
        with failures.translated():
            await self.engine.networks.remove(name)


@dataclasses.dataclass(frozen=True, slots=True)
class Volumes:
    """``runtime.api.Volumes`` over the engine. The deletion policy is a label: the engine deletes nothing by itself."""

    engine: engines.Engine

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Give all volumes, sorted by name."""
        return tuple(translate.observed_volume(record) for record in self.engine.volumes.list())

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Make it, or give an existing one its new labels."""
        policy = (DELETION_POLICY_LABEL, config.deletion_policy.value)
        with failures.translated():
            self.engine.volumes.create(config.name, pairs((*config.labels, *labels, policy)), self.engine.clock.now())

    async def remove(self, name: str) -> None:
        """Remove it and its data."""
        with failures.translated():
            users = [
                record.name
                for record in self.engine.table.all()
                if any(mount.type == "volume" and mount.source == name for mount in record.spec.mounts)
            ]
            if users:
                raise errors.InUse(f"volume {name} is used by {', '.join(users)}", hint="remove the container first")
            self.engine.volumes.remove(name)


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """``runtime.disk.Disk`` over the engine; all of it works beside the process that may change things."""

    engine: engines.Engine

    async def space(self) -> disk.Space | None:
        """Look at the disk of the root."""
        try:
            found = self.engine.collector.space()
        except OSError:
            return None
        return disk.Space(found.size, found.available)

    async def usage(self) -> disk.DiskUsage:
        """Measure the trees."""
        engine = self.engine
        if not engine.where.records.exists():
            return disk.DiskUsage(tuple(disk.Share(sort, 0, 0, 0) for sort in disk.Sort), ())
        with failures.translated():
            found = await usage.measure(engine.where, engine.collector, engine.table, engine.volumes)
            prunable = engine.collector.prunable()
        return disk.DiskUsage(
            (
                _share(disk.Sort.IMAGES, found.images, found.reclaimable),
                _share(disk.Sort.CONTAINERS, found.containers),
                _share(disk.Sort.VOLUMES, found.volumes),
            ),
            prunable,
        )

    async def prune(self) -> tuple[str, ...]:
        """Remove them."""
        if not self.engine.where.records.exists():
            return ()
        with failures.translated():
            return await self.engine.collector.prune()


def _share(sort: disk.Sort, found: usage.Share, reclaimable: int = 0) -> disk.Share:
    return disk.Share(sort, found.count, found.active, found.size, reclaimable)
