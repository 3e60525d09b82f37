"""Bad days of an engine, and the agent over it: it converges, nothing is lost, and nothing is made twice."""

import asyncio
import json
import os
import pathlib
import signal
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.model import container, image, policy, state
from agent.oci import digest, mediatypes
from tests import builders, engines, faulty_proxy, faulty_registry
from tests.integration import engine_day

pytestmark = [pytest.mark.root, pytest.mark.engine]

SLEEP = "command: [sleep, '600']"
NETWORK = "kind: Network\nmetadata: {name: %s}\nspec: {}\n"
VOLUME = "kind: Volume\nmetadata: {name: data}\nspec: {deletionPolicy: Delete}\n"
CONTAINER = "kind: Container\nmetadata: {name: %s}\nspec: {image: {name: box}, stop: {gracePeriod: 0s}, %s}\n"
BOTH = {"web": "running", "other": "running"}
FAULTS = {
    "refused": faulty_proxy.says(500),
    "cut": faulty_proxy.cuts,
    "cut_after": faulty_proxy.cuts_the_answer,
    "timeout_after": faulty_proxy.holds_the_answer,
}


def _spec(networks: str, value: int, memory: str) -> str:
    mounts = "mounts: [{volume: data, path: /data}]"
    return f"{SLEEP}, networks: [{networks}], {mounts}, env: {{A: '{value}'}}, resources: {{memory: {memory}}}"


@pytest.fixture(params=["docker", "podman"])
async def day(request, tmp_path: pathlib.Path, busybox_archive: pathlib.Path) -> AsyncIterator[engine_day.Day]:
    switch: engines.Running = request.getfixturevalue(f"{request.param}_switch")
    with engines.entered(switch.engine):
        async with engine_day.begun(switch, tmp_path, busybox_archive) as begun:
            yield begun


@pytest.mark.parametrize(
    ("day", "fault"),
    [*(("docker", fault) for fault in FAULTS), ("podman", "cut_after"), ("podman", "timeout_after")],
    indirect=["day"],
)
async def test_every_action__fails_at_first__all_is_brought_about_once_and_data_is_kept(day, fault: str) -> None:
    day.runtime.engine.call_timeout = 0.7
    loading = "" if fault != "timeout_after" else "|images/load"  # takes its time, and has a test of its own
    for method in ("POST", "DELETE"):
        day.proxy.fails_each(method, rf"/(?!exec{loading}).*", FAULTS[fault])
    day.declare(front=NETWORK % "front", back=NETWORK % "back", data=VOLUME)
    day.declare(web=CONTAINER % ("web", _spec("front", 1, "32Mi")))
    day.declare(other=CONTAINER % ("other", _spec("front, back", 1, "32Mi")))
    await day.until(lambda observed: len(observed.containers) == 2, "both are made")
    assert await day.present() == (BOTH, {"front", "back"}, {"data"})
    where = pathlib.Path((await day.call("GET", "volumes/data"))["Mountpoint"])
    (where / "precious").write_text("data")
    day.declare(web=CONTAINER % ("web", _spec("front", 2, "32Mi")))
    day.declare(other=CONTAINER % ("other", _spec("front", 1, "48Mi")))
    await day.until(
        lambda observed: ("A", "2") in observed.containers[1].config.env, "web is replaced, other is changed"
    )
    assert await day.present() == (BOTH, {"front", "back"}, {"data"})
    assert (where / "precious").read_text() == "data"
    day.declare(web=None, other=None, front=None, back=None, data=None)
    await day.until(lambda observed: not observed.containers + observed.networks + observed.volumes, "all is gone")
    assert await day.present() == ({}, set(), set())
    kinds = {name.split()[1].partition("?")[0].rpartition("/")[2] for name in day.proxy.faults}
    assert {"create", "start", "kill", "rename"} <= kinds, "each of them has failed"


async def _two_run(day: engine_day.Day) -> dict[str, int]:
    """Start two containers and return their first processes."""
    day.declare(
        web=CONTAINER % ("web", SLEEP), other=CONTAINER % ("other", f"{SLEEP}, restart: {{policy: UnlessStopped}}")
    )
    await day.until(lambda observed: _running(observed) == {"web", "other"}, "both run")
    return await _pids(day)


def _running(observed: state.ObservedState) -> set[str]:
    return {
        observed_container.name
        for observed_container in observed.containers
        if observed_container.state is container.ContainerState.RUNNING
    }


async def _pids(day: engine_day.Day) -> dict[str, int]:
    """Return the first processes; of one that does not run there is none to kill."""
    pid_by_name = {name: (await day.call("GET", f"containers/{name}/json"))["State"]["Pid"] for name in BOTH}
    assert all(pid_by_name.values()), pid_by_name
    return pid_by_name


def _another_run(observed: state.ObservedState, before: dict[str, int]) -> bool:
    """Return whether web runs again, and other as before."""
    pids = {container.name: container.pid for container in observed.containers}
    return pids["web"] not in {None, before["web"]} and pids["other"] == before["other"]


async def test_events__their_stream_is_cut__what_happens_meanwhile_is_found_and_the_next_stream_tells_again(
    day,
) -> None:
    before = await _two_run(day)
    day.proxy.fails("GET", "/events", faulty_proxy.cuts, times=2)
    await day.cut()
    os.kill(before["web"], signal.SIGKILL)
    await day.until(lambda observed: _another_run(observed, before), "web runs again, though nobody told of its end")
    await day.assert_eventually(lambda: len(day.proxy.faults) == 2, "two streams more are cut")
    await day.streaming()
    before = await _pids(day)
    os.kill(before["web"], signal.SIGKILL)
    await day.until(lambda observed: _another_run(observed, before), "web runs again, for only events tell now")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_engine__ends_and_comes_back__the_same_containers_run(day, how: signal.Signals) -> None:
    """Docker takes its containers with it, Podman's run on; nobody has asked that any of them stop."""
    before = await _two_run(day)
    ids = {container.name: container.id for container in await day.runtime.containers.list()}
    await asyncio.to_thread(day.switch.stop, how)
    await day.assert_eventually(day.unobserved, "it cannot be observed")
    day.declare(late=CONTAINER % ("late", SLEEP))
    day.forget()
    await asyncio.to_thread(day.switch.start)
    await day.until(lambda observed: _running(observed) == {"web", "other", "late"}, "all run")
    assert ids.items() <= {container.name: container.id for container in await day.runtime.containers.list()}.items()
    if day.engine.flavour == "podman":
        assert await _pids(day) == before


async def test_engine__hangs_in_the_middle_of_a_change__goes_on_where_it_was(day) -> None:
    before = await _two_run(day)
    day.runtime.engine.call_timeout = 0.5
    day.switch.hang()
    try:
        day.declare(late=CONTAINER % ("late", SLEEP))
        await day.assert_eventually(day.unobserved, "it cannot be observed")
    finally:
        day.switch.wake()
    day.forget()
    day.runtime.engine.call_timeout = 10.0
    await day.until(lambda observed: _running(observed) == {"web", "other", "late"}, "all run")
    assert await _pids(day) == before
    assert set((await day.present())[0]) == {"web", "other", "late"}


@pytest.mark.parametrize("verb", ["start", "kill", "rename"])
async def test_container__removed_between_observe_and_perform__is_there_in_the_end(day, verb: str) -> None:
    day.declare(data=VOLUME, web=CONTAINER % ("web", _spec("", 1, "32Mi")))
    if verb != "start":
        await day.until(lambda observed: _running(observed) == {"web"}, "it runs")
        day.declare(web=CONTAINER % ("web", _spec("", 2, "32Mi")))

    def remove() -> None:
        for document in day.engine.call("GET", "containers/json?all=true"):
            day.engine.call("DELETE", f"containers/{document['Id']}?force=true")

    day.proxy.fails("POST", f"/containers/[^/]+/{verb}", faulty_proxy.after(remove))
    variable = ("A", "1" if verb == "start" else "2")
    await day.until(
        lambda observed: [variable in container.config.env for container in observed.containers] == [True],
        "it is as declared",
    )
    assert day.proxy.faults != []
    assert await day.present() == ({"web": "running"}, set(), {"data"})


async def test_engine__another_version_after_a_cut__is_asked_again_what_it_can_do(day) -> None:
    await _two_run(day)
    name = day.engine.flavour
    other = {"docker": "podman", "podman": "docker"}[name]
    assert day.runtime.features.name == name
    version = {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"} if other == "podman" else {}]}

    async def says_so(exchange: faulty_proxy.Exchange) -> None:
        await exchange.answered(200, json.dumps(version))

    day.proxy.fails("GET", "/version", says_so, times=1_000)
    await day.cut()
    await day.assert_eventually(lambda: day.runtime.features.name == other, "it is known as what it says")
    assert (policy.InPlace.RESOURCES in day.runtime.features.in_place) is (other == "docker")
    version["ApiVersion"] = "1.40"
    await day.cut()
    await day.assert_eventually(
        lambda: any("speaks version 1.40" in text for text in day.complaints()), "too old, and told"
    )
    day.proxy.well()
    await day.assert_eventually(lambda: day.runtime.features.name == name, "and back")
    await day.streaming()
    before = await _pids(day)
    os.kill(before["web"], signal.SIGKILL)
    await day.until(lambda observed: _another_run(observed, before), "it is in charge again")


async def test_image__its_load_hangs_or_its_pull_breaks__is_tried_again_and_there_in_the_end(day) -> None:
    await day.until(lambda observed: len(observed.images) == 1, "the image")
    stored = (await day.runtime.images.list())[0]
    config = image.ImageConfig("box", stored.reference, image.ArchiveSource(str(day.archive), "1"))
    day.proxy.fails("POST", "/images/load", faulty_proxy.holds)
    day.runtime.engine.call_timeout = 0.02
    with pytest.raises(errors.Unavailable) as caught:
        await day.runtime.images.ensure(config, builders.labels_for(config), lambda _: None)
    assert caught.value.reason == "EngineTimeout"
    day.runtime.engine.call_timeout = 10.0
    async with faulty_registry.served() as registry:
        if day.engine.flavour == "podman":
            return  # it trusts no registry without TLS, not even one of the same host
        day.proxy.fails("POST", "/images/create", faulty_proxy.cuts)
        day.proxy.fails("POST", "/images/create", faulty_proxy.says(500))
        registry.answers |= {"/v2/": faulty_registry.says(b"{}"), faulty_registry.MANIFEST_PATH: faulty_registry.cuts}
        day.declare(
            pulled=f"kind: Image\nmetadata: {{name: pulled}}\nspec: {{pull: {{reference: '{registry.image}'}}}}\n"
        )
        await day.assert_eventually(lambda: len(day.failed()) >= 3, "it has failed in three ways")
        sound = faulty_registry.says(faulty_registry.MANIFEST, Content_Type=mediatypes.MANIFEST)
        by_digest = f"/v2/app/manifests/{digest.of(faulty_registry.MANIFEST)}"
        registry.answers |= {faulty_registry.MANIFEST_PATH: sound, by_digest: sound}
        await day.until(
            lambda observed: any(image.reference == registry.image for image in observed.images), "it is pulled"
        )
