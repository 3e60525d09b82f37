"""Each action is one call: what it leaves in a runtime, in the order in which a container comes, changes and goes."""

import dataclasses
from collections.abc import Iterator

import pytest

from agent.converge import acceptance, perform, restarts, signals
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.manifests.lowering import networks
from agent.model import container, image, secret, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan
from agent.reasons import Reason
from tests import builders

CAUSE = actions.Cause(Reason.MISSING, "not there yet")
SHOP, DATA = builders.network_config(), builders.volume_config(policy=volume.DeletionPolicy.DELETE)
WEB = builders.config()
KEY = ObjectKey(Kind.CONTAINER, "web")


@pytest.fixture
def around() -> Iterator[world.World]:
    """A world without anything in it."""
    opened = world.World(clock.SystemClock())
    yield opened
    opened.close()


async def test_perform__every_action__does_to_the_runtime_what_it_says(around: world.World) -> None:
    told: list[signals.Signal] = []
    runtime = driver.runtime_in(around)
    performer = perform.Performer(runtime, builders.OWNER, told.append)

    async def do(action: actions.Action) -> container.ObservedContainer | None:
        await performer.perform(action)
        return next(iter(await runtime.containers.list()), None)

    fetch = actions.EnsureImage(ObjectKey(Kind.IMAGE, builders.IMAGE), CAUSE, builders.image_config())
    await do(fetch)
    await do(actions.CreateNetwork(ObjectKey(Kind.NETWORK, "shop"), CAUSE, SHOP))
    await do(actions.CreateVolume(ObjectKey(Kind.VOLUME, "data"), CAUSE, DATA))
    assert [item.reference for item in await runtime.images.list()] == [builders.IMAGE]
    progress = [signal for signal in told if isinstance(signal, signals.ActionProgress)]
    assert {(signal.action, signal.progress.message) for signal in progress} == {(fetch, f"fetching {builders.IMAGE}")}
    for kind, config in (("images", builders.image_config()), ("networks", SHOP), ("volumes", DATA)):
        (item,) = await getattr(runtime, kind).list()
        assert set(builders.labels_for(config)) <= set(item.labels)

    created = await do(actions.CreateContainer(KEY, CAUSE, WEB, "web-12345678-new"))
    assert created is not None
    assert (created.name, created.config, created.state.value) == ("web-12345678-new", WEB, "created")
    assert created.labels == builders.labels_for(WEB)
    renamed = await do(actions.RenameContainer(KEY, CAUSE, created.id, "web"))
    assert renamed is not None
    assert renamed.name == "web"
    attachment = container.NetworkAttachment("shop", aliases=("www",))
    connected = await do(actions.ConnectContainer(KEY, CAUSE, "web", attachment))
    assert connected is not None
    assert connected.config.networks == (attachment,)
    running = await do(actions.StartContainer(KEY, CAUSE, "web", None, 0))
    assert running is not None
    assert running.state is container.ContainerState.RUNNING
    limits, labels = container.Resources(500, None, None, None), (("app", "x"),)
    supervision = builders.config(stop=container.StopConfig("SIGINT", 5.0)).supervision
    updated = await do(actions.UpdateContainer(KEY, CAUSE, "web", limits, labels, supervision))
    assert updated is not None
    assert (updated.config.resources, updated.config.labels) == (limits, labels)
    assert updated.config.supervision == supervision
    disconnected = await do(actions.DisconnectContainer(KEY, CAUSE, "web", "shop"))
    assert disconnected is not None
    assert disconnected.config.networks == ()
    stopped = await do(actions.StopContainer(KEY, CAUSE, "web", container.StopConfig("", 0.0)))
    assert stopped is not None
    assert (stopped.state, stopped.stop_requested) == (container.ContainerState.EXITED, True)

    assert await do(actions.RemoveContainer(KEY, CAUSE, "web")) is None
    await do(actions.RemoveNetwork(ObjectKey(Kind.NETWORK, "shop"), CAUSE, "shop"))
    await do(actions.RemoveVolume(ObjectKey(Kind.VOLUME, "data"), CAUSE, "data"))
    await do(actions.RemoveImage(ObjectKey(Kind.IMAGE, builders.IMAGE), CAUSE, builders.IMAGE))
    assert [await role.list() for role in (runtime.images, runtime.networks, runtime.volumes)] == [(), (), ()]


async def test_perform__an_image_that_is_pinned__is_fetched_as_that(around: world.World) -> None:
    around.published[builders.IMAGE] = "sha256:" + "1" * 64
    runtime = driver.runtime_in(around)
    pinned = f"{builders.IMAGE}@sha256:{'2' * 64}"
    action = actions.EnsureImage(ObjectKey(Kind.IMAGE, builders.IMAGE), CAUSE, builders.image_config(), pinned)
    await perform.Performer(runtime, builders.OWNER, lambda _: None).perform(action)
    (fetched,) = await runtime.images.list()
    assert fetched.digests == ("sha256:" + "2" * 64,)


def test_names__of_what_would_be_missed__are_all_but_what_only_others_name() -> None:
    own = image.ImageConfig("app", "localhost/app:latest", image.ArchiveSource("/a.tar", "1"))
    desired = builders.desired(
        WEB, own, builders.image_config(), SHOP, builders.network_config(networks.DEFAULT.name), DATA
    )
    login = secret.Login("registry.example", "mine")
    desired = dataclasses.replace(desired, logins=(login,))
    names = acceptance.names_of(desired)
    assert {"Image/app", "Network/shop", "Volume/data", "Container/web"} <= names
    assert "the login of mine at registry.example" in names
    assert not any(builders.IMAGE in name or networks.DEFAULT.name in name for name in names)
    assert acceptance.data_of(desired) == {"Volume/data"}


@pytest.mark.parametrize(
    ("reason", "failing", "progress"),
    [
        (Reason.SUSPENDED, (), restarts.Progress.FAILED),
        (Reason.DECLARATION_UNREADABLE, (), restarts.Progress.FAILED),
        (Reason.FOREIGN, (), restarts.Progress.FAILED),
        (Reason.BACK_OFF, (), restarts.Progress.WAITING),
        (Reason.UNAVAILABLE, (KEY,), restarts.Progress.FAILED),
    ],
)
def test_restart__blocked__waits_unless_that_never_ends(
    reason: Reason, failing: tuple[ObjectKey, ...], progress: restarts.Progress
) -> None:
    request = restarts.Request(frozenset({KEY}))
    request.note(plan.Plan("r1", (), (plan.Blocked(KEY, reason, "why"),), (), (), None), failing)
    assert request.progress(KEY) == (progress, f"{reason}: why")
