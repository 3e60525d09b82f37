"""The roles of the memory runtime beside containers: images, networks and volumes."""

import dataclasses
import hashlib
import ipaddress
from collections.abc import Sequence

from agent import errors
from agent.drivers.memory import world
from agent.kit import canonical, disk_space, frozen
from agent.model import container, image, network, secret, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind, Pairs, pairs
from agent.oci import archives, reference
from agent.reasons import Reason
from agent.runtime import api, disk, events

WITHOUT_CONTENT = "simulates: its images have no content"
"""Why nothing can be pushed, saved, loaded or imported."""
_POOL = ipaddress.IPv4Network("10.200.0.0/13")


@frozen.value
class Images:
    """``runtime.api.Images`` in RAM. An image's id follows from where it comes from."""

    world: world.World

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Return all images."""
        return tuple(sorted(self.world.images.values(), key=lambda observed: observed.reference))

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Set the logins that are sent to registries."""
        self.world.logins = logins

    async def forget(self, reference: str) -> None:
        """Do nothing: a pull leaves nothing by halves here."""

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull an image anew, and record its labels."""
        if isinstance(config.source, image.BuildSource):
            raise errors.InvalidArgument(f"not over memory: {WITHOUT_CONTENT}", reason=Reason.UNSUPPORTED)
        progress(api.Progress(f"fetching {config.reference}"))
        await self.world.enter("images.ensure", config.reference)
        digests: tuple[str, ...] = ()
        if isinstance(config.source, image.PullSource):
            self.world.admit(config.reference)
            digests = (reference.parse(pinned or config.reference).digest or self.world.digest(config.reference),)
        created = image.ObservedImage(
            _hash((config.reference, config.source, digests)), config.reference, labels, 1, digests
        )
        self.world.images[config.reference] = created
        return created

    async def digest(self, name: str) -> str:
        """Return a reference's digest in its registry."""
        await self.world.enter("images.digest", name)
        self.world.admit(name)
        return self.world.digest(name)

    async def tags(self, name: str) -> tuple[str, ...]:
        """Return the tags of a reference's repository."""
        await self.world.enter("images.tags", name)
        self.world.admit(name)
        return self.world.tags(name)

    async def remove(self, name: str) -> None:
        """Remove an image."""
        await self.world.enter("images.remove", name)
        if name not in self.world.images:
            raise errors.NotFound(f"image {name} is not in the store", reason=Reason.IMAGE_NOT_FOUND)
        users = sorted(container.name for container in self.world.containers.values() if container.config.image == name)
        if users:
            raise errors.InUse(f"image {name} is used by {', '.join(users)}")
        del self.world.images[name]

    async def tag(self, name: str, new: str) -> None:
        """Add a reference to an image."""
        await self.world.enter("images.tag", name)
        if name not in self.world.images:
            raise errors.NotFound(f"image {name} is not in the store", reason=Reason.IMAGE_NOT_FOUND)
        self.world.images[new] = dataclasses.replace(self.world.images[name], reference=new, labels=())

    async def push(self, name: str, target: str, progress: api.ProgressSink) -> str:
        """Raise: an image here has no content."""
        del target, progress
        raise _no_content(name)

    async def save(
        self, references: tuple[str, ...], form: archives.ArchiveFormat, out: archives.Sink, progress: api.ProgressSink
    ) -> None:
        """Raise: images here have no content."""
        del form, out, progress
        raise _no_content(", ".join(references))

    async def load(self, path: str, reference: str, progress: api.ProgressSink) -> tuple[str, ...]:
        """Raise: archives cannot be read here."""
        del reference, progress
        raise _no_content(path)

    async def import_root(
        self, path: str, reference: str, root: archives.RootImage, progress: api.ProgressSink
    ) -> None:
        """Raise: archives cannot be read here."""
        del reference, root, progress
        raise _no_content(path)


def _hash(what: object) -> str:
    return f"sha256:{hashlib.sha256(canonical.dumps(what)).hexdigest()}"


def _no_content(what: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"{what}: the memory runtime {WITHOUT_CONTENT}", hint="choose another --runtime", reason=Reason.NO_IMAGE_CONTENT
    )


@frozen.value
class Networks:
    """``runtime.api.Networks`` in RAM."""

    world: world.World

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Return all networks."""
        return tuple(sorted(self.world.networks.values(), key=lambda observed: observed.name))

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Create a network, or repair it and take over its labels."""
        await self.world.enter("networks.create", config.name)
        present = self.world.networks.get(config.name)
        if present is not None:
            labelled = dataclasses.replace(present.config, labels=config.labels)
            self.world.networks[config.name] = dataclasses.replace(
                present, config=labelled, labels=pairs((*config.labels, *labels)), healthy=True
            )
            return
        complete = dataclasses.replace(config, subnets=self._subnets(config))
        created = network.ObservedNetwork(
            self.world.new_id(), config.name, complete, pairs((*config.labels, *labels)), healthy=True
        )
        self.world.networks[config.name] = created
        self.world.emit(Kind.NETWORK, created.id, created.name, events.EventAction.CREATED)

    async def remove(self, name: str) -> None:
        """Remove it."""
        await self.world.enter("networks.remove", name)
        current = self.world.networks.get(name)
        if current is None:
            raise errors.NotFound(f"there is no network {name}", reason=Reason.NETWORK_NOT_FOUND)
        users = sorted(user.name for user in self.world.containers.attached(name))
        if users:
            raise errors.InUse(f"network {name} is used by {', '.join(users)}")
        del self.world.networks[name]
        self.world.emit(Kind.NETWORK, current.id, current.name, events.EventAction.REMOVED)

    def _subnets(self, config: network.NetworkConfig) -> tuple[network.Subnet, ...]:
        taken = [
            ipaddress.IPv4Network(subnet.subnet)
            for other in self.world.networks.values()
            for subnet in other.config.subnets
        ]
        subnets = config.subnets or (network.Subnet(str(self._free(taken)), None, None),)
        for subnet in subnets:
            if any(ipaddress.IPv4Network(subnet.subnet).overlaps(other) for other in taken):
                raise errors.Conflict(f"subnet {subnet.subnet} is taken", reason=Reason.SUBNET_IN_USE)
        return tuple(
            dataclasses.replace(subnet, gateway=subnet.gateway or str(_first(subnet.subnet))) for subnet in subnets
        )

    def _free(self, taken: Sequence[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
        free = (subnet for subnet in _POOL.subnets(new_prefix=24) if not any(subnet.overlaps(other) for other in taken))
        return next(free)


@frozen.value
class Volumes:
    """``runtime.api.Volumes`` in RAM."""

    world: world.World

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Return all volumes."""
        return tuple(sorted(self.world.volumes.values(), key=lambda observed: observed.name))

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Create a volume, or take over changed labels."""
        await self.world.enter("volumes.create", config.name)
        present = self.world.volumes.get(config.name)
        policy = (DELETION_POLICY_LABEL, config.deletion_policy.value)
        self.world.volumes[config.name] = volume.ObservedVolume(
            config.name,
            config,
            pairs((*config.labels, *labels, policy)),
            f"/memory/volumes/{config.name}",
            present.created_at if present else self.world.clock.now(),
        )

    async def remove(self, name: str) -> None:
        """Remove it."""
        await self.world.enter("volumes.remove", name)
        if name not in self.world.volumes:
            raise errors.NotFound(f"there is no volume {name}", reason=Reason.VOLUME_NOT_FOUND)
        users = sorted(
            container.name for container in self.world.containers.values() if _mounts(container.config, name)
        )
        if users:
            raise errors.InUse(f"volume {name} is used by {', '.join(users)}")
        del self.world.volumes[name]


def _mounts(config: container.ContainerConfig, name: str) -> bool:
    return any(isinstance(mount, container.VolumeMount) and mount.volume == name for mount in config.mounts)


def _first(subnet: str) -> ipaddress.IPv4Address:
    return next(ipaddress.IPv4Network(subnet).hosts())


@frozen.value
class Disk:
    """``runtime.disk.Disk`` in RAM: an image takes its ``size``, and everything else takes no space."""

    world: world.World

    async def space(self) -> disk_space.DiskSpace | None:
        """Return ``None``: there is no disk."""
        return None

    async def usage(self) -> disk.DiskUsage:
        """Return the usage by kind of object."""
        sizes = {image.id: image.size for image in self.world.images.values()}
        used = {container.image_id for container in self.world.containers.values()}
        containers = self.world.containers.values()
        mounted = {
            name for name in self.world.volumes if any(_mounts(observed.config, name) for observed in containers)
        }
        running = sum(observed.state is container.ContainerState.RUNNING for observed in containers)
        prunable = self._prunable()
        kept = {image.id for image in self.world.images.values() if image.reference not in prunable}
        reclaimable = sum(size for image_id, size in sizes.items() if image_id not in kept)
        return disk.DiskUsage(
            (
                disk.Share(disk.Sort.IMAGES, len(sizes), len(used & set(sizes)), sum(sizes.values()), reclaimable),
                disk.Share(disk.Sort.CONTAINERS, len(containers), running, 0),
                disk.Share(disk.Sort.VOLUMES, len(self.world.volumes), len(mounted), 0),
            ),
            prunable,
        )

    async def prune(self) -> tuple[str, ...]:
        """Remove images without labels that no container uses, and return their references."""
        await self.world.enter("disk.prune", "images")
        prunable = self._prunable()
        for name in prunable:
            del self.world.images[name]
        return prunable

    def _prunable(self) -> tuple[str, ...]:
        kept = {container.image_id for container in self.world.containers.values()}
        kept |= {image.id for image in self.world.images.values() if image.labels}
        return tuple(sorted(image.reference for image in self.world.images.values() if image.id not in kept))
