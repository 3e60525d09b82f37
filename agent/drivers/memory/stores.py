"""The roles of the memory runtime beside containers: images, networks and volumes."""

import dataclasses
import hashlib
import ipaddress
from collections.abc import Sequence

from agent.drivers.memory import world
from agent.kit import canonical
from agent.model import container, image, network, secret, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind, Pairs, pairs
from agent.oci import reference
from agent.runtime import api, disk, errors, events

WITHOUT_CONTENT = "simulates: its images have no content"
"""Why nothing can be pushed, saved, loaded or imported."""
_POOL = ipaddress.IPv4Network("10.200.0.0/13")


@dataclasses.dataclass(frozen=True, slots=True)
class Images:
    """``runtime.api.Images`` in RAM. An image's id follows from where it comes from."""

    world: world.World

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Give all images."""
        return tuple(sorted(self.world.images.values(), key=lambda one: one.reference))

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Show them to the world's registries."""
        self.world.logins = logins

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Have it."""
        progress(api.Progress(f"fetching {config.reference}"))
        await self.world.enter("images.ensure", config.reference)
        digests: tuple[str, ...] = ()
        if isinstance(config.source, image.PullSource):
            self.world.admit(config.reference)
            digests = (reference.parse(pinned or config.reference).digest or self.world.digest(config.reference),)
        made = image.ObservedImage(
            _hash((config.reference, config.source, digests)), config.reference, labels, 1, digests
        )
        self.world.images[config.reference] = made
        return made

    async def digest(self, name: str) -> str:
        """Say what the world's registry has."""
        await self.world.enter("images.digest", name)
        self.world.admit(name)
        return self.world.digest(name)

    async def tags(self, name: str) -> tuple[str, ...]:
        """Say what the world's registry has."""
        await self.world.enter("images.tags", name)
        self.world.admit(name)
        return self.world.tags(name)

    async def remove(self, name: str) -> None:
        """Drop it."""
        await self.world.enter("images.remove", name)
        if name not in self.world.images:
            raise errors.NotFound(f"image {name} is not in the store", reason="ImageNotFound")
        users = sorted(one.name for one in self.world.containers.values() if one.config.image == name)
        if users:
            raise errors.InUse(f"image {name} is used by {', '.join(users)}")
        del self.world.images[name]

    async def tag(self, name: str, new: str) -> None:
        """Keep it under one more name."""
        await self.world.enter("images.tag", name)
        if name not in self.world.images:
            raise errors.NotFound(f"image {name} is not in the store", reason="ImageNotFound")
        self.world.images[new] = dataclasses.replace(self.world.images[name], reference=new, labels=())

    async def push(self, name: str, target: str, progress: api.ProgressSink) -> str:
        """Refuse: there is nothing in it."""
        del target, progress
        raise _no_content(name)

    async def save(
        self, references: tuple[str, ...], form: api.ArchiveFormat, out: api.Sink, progress: api.ProgressSink
    ) -> None:
        """Refuse: there is nothing in them."""
        del form, out, progress
        raise _no_content(", ".join(references))

    async def load(self, path: str, reference: str, progress: api.ProgressSink) -> tuple[str, ...]:
        """Refuse: nothing is read here."""
        del reference, progress
        raise _no_content(path)

    async def import_root(self, path: str, reference: str, root: api.RootImage, progress: api.ProgressSink) -> None:
        """Refuse: nothing is read here."""
        del reference, root, progress
        raise _no_content(path)


def _hash(what: object) -> str:
    return f"sha256:{hashlib.sha256(canonical.dumps(what)).hexdigest()}"


def _no_content(what: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"{what}: the memory runtime {WITHOUT_CONTENT}", hint="choose another --runtime", reason="NoImageContent"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Networks:
    """``runtime.api.Networks`` in RAM."""

    world: world.World

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Give all networks."""
        return tuple(sorted(self.world.networks.values(), key=lambda one: one.name))

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Make it, or mend it and take over its labels."""
        await self.world.enter("networks.create", config.name)
        present = self.world.networks.get(config.name)
        if present is not None:
            labelled = dataclasses.replace(present.config, labels=config.labels)
            self.world.networks[config.name] = dataclasses.replace(
                present, config=labelled, labels=pairs((*config.labels, *labels)), healthy=True
            )
            return
        complete = dataclasses.replace(config, subnets=self._subnets(config))
        made = network.ObservedNetwork(
            self.world.new_id(), config.name, complete, pairs((*config.labels, *labels)), healthy=True
        )
        self.world.networks[config.name] = made
        self.world.tell(Kind.NETWORK, made.id, made.name, events.EventAction.CREATED)

    async def remove(self, name: str) -> None:
        """Remove it."""
        await self.world.enter("networks.remove", name)
        found = self.world.networks.get(name)
        if found is None:
            raise errors.NotFound(f"there is no network {name}", reason="NetworkNotFound")
        users = sorted(one.name for one in self.world.attached(name))
        if users:
            raise errors.InUse(f"network {name} is used by {', '.join(users)}")
        del self.world.networks[name]
        self.world.tell(Kind.NETWORK, found.id, found.name, events.EventAction.REMOVED)

    def _subnets(self, config: network.NetworkConfig) -> tuple[network.Subnet, ...]:
        taken = [
            ipaddress.IPv4Network(subnet.subnet)
            for other in self.world.networks.values()
            for subnet in other.config.subnets
        ]
        wanted = config.subnets or (network.Subnet(str(self._free(taken)), None, None),)
        for subnet in wanted:
            if any(ipaddress.IPv4Network(subnet.subnet).overlaps(other) for other in taken):
                raise errors.Conflict(f"subnet {subnet.subnet} is taken", reason="SubnetInUse")
        return tuple(
            dataclasses.replace(subnet, gateway=subnet.gateway or str(_first(subnet.subnet))) for subnet in wanted
        )

    def _free(self, taken: Sequence[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
        free = (one for one in _POOL.subnets(new_prefix=24) if not any(one.overlaps(other) for other in taken))
        return next(free)


@dataclasses.dataclass(frozen=True, slots=True)
class Volumes:
    """``runtime.api.Volumes`` in RAM."""

    world: world.World

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Give all volumes."""
        return tuple(sorted(self.world.volumes.values(), key=lambda one: one.name))

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Make it, or take over what is new."""
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
            raise errors.NotFound(f"there is no volume {name}", reason="VolumeNotFound")
        users = sorted(one.name for one in self.world.containers.values() if _mounts(one.config, name))
        if users:
            raise errors.InUse(f"volume {name} is used by {', '.join(users)}")
        del self.world.volumes[name]


def _mounts(config: container.ContainerConfig, name: str) -> bool:
    return any(isinstance(one, container.VolumeMount) and one.volume == name for one in config.mounts)


def _first(subnet: str) -> ipaddress.IPv4Address:
    return next(ipaddress.IPv4Network(subnet).hosts())


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """``runtime.disk.Disk`` in RAM: an image takes the byte that it says, and nothing else takes any room."""

    world: world.World

    async def space(self) -> disk.Space | None:
        """Say nothing: there is no disk."""
        return None

    async def usage(self) -> disk.DiskUsage:
        """Count."""
        sizes = {one.id: one.size for one in self.world.images.values()}
        used = {one.image_id for one in self.world.containers.values()}
        there = self.world.containers.values()
        mounted = {name for name in self.world.volumes if any(_mounts(one.config, name) for one in there)}
        running = sum(one.state is container.ContainerState.RUNNING for one in there)
        prunable = self._prunable()
        kept = {one.id for one in self.world.images.values() if one.reference not in prunable}
        gone = sum(size for image_id, size in sizes.items() if image_id not in kept)
        return disk.DiskUsage(
            (
                disk.Share(disk.Sort.IMAGES, len(sizes), len(used & set(sizes)), sum(sizes.values()), gone),
                disk.Share(disk.Sort.CONTAINERS, len(there), running, 0),
                disk.Share(disk.Sort.VOLUMES, len(self.world.volumes), len(mounted), 0),
            ),
            prunable,
        )

    async def prune(self) -> tuple[str, ...]:
        """Remove images that nobody has labelled, and no container uses."""
        await self.world.enter("disk.prune", "images")
        gone = self._prunable()
        for name in gone:
            del self.world.images[name]
        return gone

    def _prunable(self) -> tuple[str, ...]:
        kept = {one.image_id for one in self.world.containers.values()}
        kept |= {one.id for one in self.world.images.values() if one.labels}
        return tuple(sorted(one.reference for one in self.world.images.values() if one.id not in kept))
