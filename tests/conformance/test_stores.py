"""What a runtime does with images, networks and volumes."""

import dataclasses

import pytest

from agent import errors
from agent.model import container, image, network, policy, volume
from agent.model.key import pairs
from tests import builders

SHOP = builders.network_config()
ATTACHED = (container.NetworkAttachment("shop"),)
STOP_NOW = container.StopConfig("SIGKILL", 5.0)


async def test_image__ensured__is_listed_with_its_labels(harness) -> None:
    (observed,) = await harness.runtime.images.list()
    config = image.ImageConfig("busybox", "localhost/busybox:latest", image.ArchiveSource(str(harness.archive), "1"))
    assert (observed.reference, observed.labels) == ("localhost/busybox:latest", builders.labels_for(config))
    assert observed.id.startswith("sha256:")


async def test_image__used_by_a_container__cannot_be_removed(harness) -> None:
    identity = await harness.create(harness.config())
    with pytest.raises(errors.InUse):
        await harness.runtime.images.remove("localhost/busybox:latest")
    await harness.runtime.containers.remove(identity)
    await harness.runtime.images.remove("localhost/busybox:latest")
    assert await harness.runtime.images.list() == ()


async def test_image__unknown__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.runtime.images.remove("localhost/nothing:latest")


async def test_network__created__is_observed_with_subnet_and_gateway(harness) -> None:
    await harness.runtime.networks.create(SHOP, builders.labels_for(SHOP))
    (observed,) = await harness.runtime.networks.list()
    assert observed.healthy
    assert observed.labels == builders.labels_for(SHOP)
    assert dataclasses.replace(observed.config, subnets=()) == SHOP
    assert all(subnet.gateway for subnet in observed.config.subnets)


async def test_network__created_twice__stays_as_it_is(harness) -> None:
    await harness.runtime.networks.create(SHOP, ())
    before = await harness.runtime.networks.list()
    await harness.runtime.networks.create(SHOP, ())
    assert await harness.runtime.networks.list() == before


async def test_network__created_again_with_other_labels__takes_them_over_and_changes_nothing_else(harness) -> None:
    old = builders.network_config(labels=(("app", "old"), ("x", "y")))
    new = builders.network_config(labels=(("app", "new"),))
    await harness.runtime.networks.create(old, builders.labels_for(old))
    identity = await harness.running(harness.config(networks=ATTACHED))
    (before,) = await harness.runtime.networks.list()
    await harness.runtime.networks.create(new, builders.labels_for(new))
    (observed,) = await harness.runtime.networks.list()
    assert observed.config == dataclasses.replace(before.config, labels=(("app", "new"),))
    assert observed.labels == pairs((("app", "new"), *builders.labels_for(new)))
    assert (observed.id, observed.healthy) == (before.id, True)
    assert [name for name, _ in (await harness.observe(identity)).addresses] == ["shop"]


async def test_network__subnet_taken__conflict(harness) -> None:
    await harness.runtime.networks.create(SHOP, ())
    (observed,) = await harness.runtime.networks.list()
    taken = (network.Subnet(observed.config.subnets[0].subnet, None, None),)
    with pytest.raises(errors.Conflict) as caught:
        await harness.runtime.networks.create(builders.network_config("other", subnets=taken), ())
    assert caught.value.reason == "SubnetInUse"


async def test_network__used__cannot_be_removed(harness) -> None:
    await harness.runtime.networks.create(SHOP, ())
    identity = await harness.running(harness.config(networks=ATTACHED))
    with pytest.raises(errors.InUse):
        await harness.runtime.networks.remove("shop")
    await harness.runtime.containers.stop(identity, STOP_NOW)
    await harness.runtime.networks.remove("shop")
    assert await harness.runtime.networks.list() == ()
    with pytest.raises(errors.NotFound):
        await harness.runtime.networks.remove("shop")


async def test_container__in_a_network__has_an_address_while_it_runs(harness) -> None:
    await harness.runtime.networks.create(SHOP, ())
    identity = await harness.running(harness.config(networks=ATTACHED))
    observed = await harness.observe(identity)
    assert [name for name, _ in observed.addresses] == ["shop"]
    await harness.runtime.containers.stop(identity, STOP_NOW)
    assert (await harness.observe(identity)).addresses == ()


async def test_container__in_an_unknown_network__not_found_and_nothing_runs(harness) -> None:
    with pytest.raises(errors.NotFound):  # some runtimes find out when it is made, some when it starts
        await harness.running(harness.config(networks=ATTACHED))
    assert {container.state for container in await harness.runtime.containers.list()} <= {
        container.ContainerState.CREATED
    }


async def test_container__fixed_address__has_it_and_nobody_else_gets_it(harness) -> None:
    config = builders.network_config(subnets=(network.Subnet("10.94.7.0/24", None, None),))
    await harness.runtime.networks.create(config, ())
    fixed = (container.NetworkAttachment("shop", (), "10.94.7.9"),)
    identity = await harness.running(harness.config(networks=fixed))
    assert (await harness.observe(identity)).addresses == (("shop", "10.94.7.9"),)
    second = await harness.create(harness.config("second", networks=fixed))
    with pytest.raises(errors.Conflict) as caught:
        await harness.runtime.containers.start(second)
    assert caught.value.reason == "AddressInUse"


async def test_container__host_port_of_another_one__conflict(harness) -> None:
    await harness.runtime.networks.create(SHOP, ())
    port = (container.PortMapping(18181, 80, container.TransportProtocol.TCP, "127.0.0.1"),)
    await harness.running(harness.config(networks=ATTACHED, ports=port))
    second = await harness.create(harness.config("second", networks=ATTACHED, ports=port))
    with pytest.raises(errors.Conflict) as caught:
        await harness.runtime.containers.start(second)
    assert caught.value.reason == "PortInUse"


async def test_connect_and_disconnect__running__changes_its_networks(harness) -> None:
    await harness.runtime.networks.create(SHOP, ())
    await harness.runtime.networks.create(builders.network_config("back"), ())
    back = container.NetworkAttachment("back")
    identity = await harness.running(harness.config(networks=(back,)))
    attachment = container.NetworkAttachment("shop", ("www",))
    await harness.runtime.containers.connect(identity, attachment)
    observed = await harness.observe(identity)
    assert observed.config.networks == (back, attachment)
    assert [name for name, _ in observed.addresses] == ["back", "shop"]
    await harness.runtime.containers.disconnect(identity, "back")
    observed = await harness.observe(identity)
    assert observed.config.networks == (attachment,)
    assert [name for name, _ in observed.addresses] == ["shop"]


async def test_connect__the_first_network__and_leave_the_last_one(harness) -> None:
    if not harness.can(policy.InPlace.FIRST_NETWORK):
        return
    await harness.runtime.networks.create(SHOP, ())
    identity = await harness.running(harness.config())
    await harness.runtime.containers.connect(identity, ATTACHED[0])
    assert (await harness.observe(identity)).config.networks == ATTACHED
    await harness.runtime.containers.disconnect(identity, "shop")
    observed = await harness.observe(identity)
    assert (observed.config.networks, observed.addresses) == ((), ())


async def test_volume__created__is_observed(harness) -> None:
    data = builders.volume_config(policy=volume.DeletionPolicy.DELETE)
    await harness.runtime.volumes.create(data, builders.labels_for(data))
    (observed,) = await harness.runtime.volumes.list()
    assert observed.config == data
    assert set(builders.labels_for(data)) <= set(observed.labels)


async def test_volume__created_again__takes_the_new_policy_and_keeps_its_age(harness) -> None:
    data = builders.volume_config()
    await harness.runtime.volumes.create(data, ())
    (before,) = await harness.runtime.volumes.list()
    changed = builders.volume_config(policy=volume.DeletionPolicy.DELETE)
    await harness.runtime.volumes.create(changed, ())
    (observed,) = await harness.runtime.volumes.list()
    assert (observed.config, observed.created_at) == (changed, before.created_at)


async def test_volume__used__cannot_be_removed(harness) -> None:
    await harness.runtime.volumes.create(builders.volume_config(), ())
    mounts = (container.VolumeMount("data", "/data", read_only=False),)
    identity = await harness.create(harness.config(mounts=mounts))
    with pytest.raises(errors.InUse):
        await harness.runtime.volumes.remove("data")
    await harness.runtime.containers.remove(identity)
    await harness.runtime.volumes.remove("data")
    assert await harness.runtime.volumes.list() == ()
    with pytest.raises(errors.NotFound):
        await harness.runtime.volumes.remove("data")
