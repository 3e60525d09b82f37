"""The roles of the native runtime beside containers: images, networks and volumes."""

import pathlib

from agent import errors
from agent.drivers.native import builds, failures, translate
from agent.engine import engine as engines
from agent.engine import usage
from agent.engine.build import running
from agent.engine.images import images
from agent.kit import disk_space, frozen, tasks
from agent.model import hostaccess, image, network, secret, volume
from agent.model.key import DELETION_POLICY_LABEL, Pairs, pairs
from agent.oci import archives, auths, reference
from agent.runtime import admitted, api, build_progress, declared_builds, disk


@frozen.value
class Images:
    """``runtime.api.Images`` over the engine."""

    engine: engines.Engine
    access: hostaccess.HostAccess = hostaccess.UNLIMITED

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Return all images, sorted by reference."""
        with failures.translated():
            return tuple(map(_observed, self.engine.images.list()))

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Show them to registries."""
        self.engine.registry.use(
            {login.place: auths.Credentials(login.user, login.password, login.identity_token) for login in logins}
        )

    async def forget(self, reference: str) -> None:
        """Let go of the lease of a broken pull, and of what it was on."""
        with failures.translated():
            if self.engine.images.leases.forget(reference):
                await self.engine.collector.sweep()

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull, load or build it."""
        report = _reporting(progress)
        with failures.translated():
            match config.source:
                case image.PullSource(platform):
                    await self.engine.images.pull(config.reference, platform, labels, report, pinned)
                case image.ArchiveSource():
                    await admitted.check_archive(self.access, config.source.path)
                    path = pathlib.Path(config.source.path)
                    await self.engine.images.load(path, config.reference, labels, report)
                case image.BuildSource() as source:
                    await admitted.check_build(self.access, source)
                    with declared_builds.placed(source):
                        request = await tasks.in_thread(lambda: declared_builds.request(source, self.access))
                        await builds.Builds(self.engine).build(
                            request, config.reference, labels, build_progress.titles(progress)
                        )
            return _observed(self.engine.images.record(config.reference))

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
            self.engine.images.record(name)
            containers = self.engine.table.all()
            users = [record.name for record in containers if reference.canonical(record.spec.image) == name]
            if users:
                raise errors.InUse(f"image {name} is used by {', '.join(users)}", hint="remove the container first")
            await self.engine.images.remove(name)

    async def tag(self, name: str, new: str) -> None:
        """Keep it under one more reference."""
        with failures.translated():
            self.engine.transfer.tag(name, new)

    async def push(self, name: str, target: str, progress: api.ProgressSink) -> str:
        """Push it."""
        with failures.translated():
            return await self.engine.transfer.push(name, target, _reporting(progress))

    async def save(
        self, references: tuple[str, ...], form: archives.ArchiveFormat, out: archives.Sink, progress: api.ProgressSink
    ) -> None:
        """Write an archive of them."""
        with failures.translated():
            await self.engine.transfer.save(references, form, out, _reporting(progress))

    async def load(self, path: str, reference: str, progress: api.ProgressSink) -> tuple[str, ...]:
        """Load all images of an archive."""
        with failures.translated():
            loaded = await self.engine.transfer.load(pathlib.Path(path), reference, _reporting(progress))
        return tuple(loaded_image.reference for loaded_image in loaded)

    async def import_root(
        self, path: str, reference: str, root: archives.RootImage, progress: api.ProgressSink
    ) -> None:
        """Make an image of a root file system."""
        source, created = pathlib.Path(path), self.engine.clock.now()
        with failures.translated():
            await self.engine.transfer.import_root(source, reference, root, created, _reporting(progress))


def _observed(record: images.ImageRecord) -> image.ObservedImage:
    return image.ObservedImage(
        record.id,
        record.reference,
        record.labels,
        record.size,
        record.digests,
        verified=record.verified,
        available=record.available,
    )


def _reporting(progress: api.ProgressSink) -> images.Report:
    """Return what passes the engine's progress on."""
    return lambda report: progress(api.Progress(report.message, report.done, report.total or None))


@frozen.value
class Networks:
    """``runtime.api.Networks`` over the engine."""

    engine: engines.Engine

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Return all networks, sorted by name."""
        networks = self.engine.networks
        with failures.translated():
            problems = await networks.problems()
            return tuple(
                translate.observed_network(record, healthy=record.name not in problems)
                for record in networks.list()
                if record.name != running.NETWORK  # the builds' own is nobody's object
            )

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Make it, or mend it and give it its new labels."""
        with failures.translated():
            await self.engine.networks.create(translate.network_spec(config, labels))

    async def remove(self, name: str) -> None:
        """Remove it."""
        with failures.translated():
            await self.engine.networks.remove(name)


@frozen.value
class Volumes:
    """``runtime.api.Volumes`` over the engine. The deletion policy is a label: the engine deletes nothing by itself."""

    engine: engines.Engine

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Return all volumes, sorted by name."""
        with failures.translated():
            return tuple(translate.observed_volume(record) for record in self.engine.volumes.list())

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Make it, or give an existing one its new labels."""
        policy = (DELETION_POLICY_LABEL, config.deletion_policy.value)
        own, now = pairs((*config.labels, *labels, policy)), self.engine.clock.now()
        with failures.translated():
            self.engine.volumes.create(config.name, own, now, config.driver.value)

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


@frozen.value
class Disk:
    """``runtime.disk.Disk`` over the engine; all of it works beside the process that may change things."""

    engine: engines.Engine

    async def space(self) -> disk_space.DiskSpace | None:
        """Look at the disk of the root."""
        try:
            return self.engine.collector.space()
        except OSError:
            return None

    async def usage(self) -> disk.DiskUsage:
        """Measure the trees."""
        engine = self.engine
        if not engine.where.records.exists():
            return disk.DiskUsage(tuple(disk.Share(sort, 0, 0, 0) for sort in disk.Sort), ())
        with failures.translated():
            usage_of = await usage.measure(engine.where, engine.collector, engine.table, engine.volumes)
            prunable = engine.collector.prunable()
        return disk.DiskUsage(
            (
                _share(disk.Sort.IMAGES, usage_of.images, usage_of.reclaimable),
                _share(disk.Sort.CONTAINERS, usage_of.containers),
                _share(disk.Sort.VOLUMES, usage_of.volumes),
            ),
            prunable,
        )

    async def prune(self) -> tuple[str, ...]:
        """Remove them."""
        if not self.engine.where.records.exists():
            return ()
        with failures.translated():
            return await self.engine.collector.prune()


def _share(sort: disk.Sort, share: usage.Share, reclaimable: int = 0) -> disk.Share:
    return disk.Share(sort, share.count, share.active, share.size, reclaimable)
