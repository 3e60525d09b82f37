"""Two hundred containers are one call: only what may have changed is asked for."""

import asyncio
import dataclasses
import pathlib
from typing import Any

import pytest

from agent.drivers.docker import inspections, names, sidecar, translate
from agent.model import container
from agent.model.key import Kind
from tests import builders
from tests.unit.drivers.docker import fakes, twin

LIST = "containers/json"
OWNED = builders.labels_for(builders.config())


@dataclasses.dataclass(slots=True)
class Host:
    """An engine with some containers, which are told by its list and one by one."""

    engine: fakes.Engine
    table: names.Names
    inspections: inspections.Inspections

    def has(self, *ones: str, **more: Any) -> None:
        """Add containers of ours by these names."""
        self.engine.answers = {LIST: [], **{key: more[key] for key in more}}
        for name in ones:
            config = builders.config(name)
            inspected = {**twin.inspected("docker-20.10", config, OWNED, self.table), "Id": f"id-{name}"}
            self.engine.answers[f"containers/id-{name}/json"] = inspected
            self.engine.answers[LIST].append(
                {
                    "Id": f"id-{name}",
                    "Names": [f"/{name}"],
                    "State": "running",
                    "Status": "Up 5 seconds",
                    "Labels": inspected["Config"]["Labels"],
                    "NetworkSettings": {"Networks": {}},
                }
            )

    def summary(self, number: int = 0) -> dict[str, Any]:
        """Return a container's entry of the list."""
        summary: dict[str, Any] = self.engine.answers[LIST][number]
        return summary

    async def asked(self) -> list[str]:
        """Look, and give what was asked for."""
        await self.inspections.observe()
        return self.engine.paths()


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    engine = fakes.Engine()
    table = twin.table(tmp_path)
    engine_host = Host(engine, table, inspections.Inspections(engine, table))
    engine_host.has("web", "db")
    return engine_host


async def test_look__the_first_time__asks_for_each_and_sorts_by_name(host: Host) -> None:
    observed = await host.inspections.observe()
    assert [container.name for container in observed] == ["db", "web"]
    assert host.engine.paths() == [LIST, "containers/id-web/json", "containers/id-db/json"]
    assert observed == await host.inspections.observe()
    assert host.inspections.inspection_count == 2


async def test_look__nothing_has_changed_but_the_time__is_one_call(host: Host) -> None:
    await host.asked()
    host.summary()["Status"] = "Up 6 seconds"
    assert await host.asked() == [LIST]


@pytest.mark.parametrize(
    "change",
    [
        {"State": "exited"},
        {"Names": ["/other"]},
        {"NetworkSettings": {"Networks": {"shop": {"IPAddress": ""}}}},
    ],
)
async def test_look__the_list_tells_of_a_change__asks_for_that_one(host: Host, change: dict[str, Any]) -> None:
    await host.asked()
    host.summary().update(change)
    assert await host.asked() == [LIST, "containers/id-web/json"]
    assert await host.asked() == [LIST]


async def test_look__another_address__asks_for_that_one(host: Host) -> None:
    for address in ("10.9.0.2", "10.9.0.3"):
        host.summary()["NetworkSettings"] = {"Networks": {"shop": {"IPAddress": address}, "lan": None}}
        assert "containers/id-web/json" in await host.asked()


async def test_look__after_an_event__asks_for_that_one(host: Host) -> None:
    await host.asked()
    host.inspections.invalidate("id-db")
    assert await host.asked() == [LIST, "containers/id-db/json"]


async def test_look__after_a_note__asks_for_that_one(host: Host) -> None:
    await host.asked()
    host.table.state_file.note_stop("id-db", 5.0)
    assert await host.asked() == [LIST, "containers/id-db/json"]


@pytest.mark.parametrize("text", ["no JSON", '{"name":"web"}', '{"name":"web","new":1}'])
async def test_look__its_declaration_cannot_be_read__says_so_and_all_that_the_engine_tells(
    host: Host, text: str
) -> None:
    for labels in (host.summary()["Labels"], host.engine.answers["containers/id-web/json"]["Config"]["Labels"]):
        labels[translate.CONFIG_LABEL] = text
    host.engine.answers["containers/id-web/json"]["Config"]["StopTimeout"] = 90
    db, web = await host.inspections.observe()
    assert "cannot be read, so it is left as it is" in web.unreadable
    assert "remove web: it is made again" in web.unreadable
    assert (web.config.name, web.config.stop) == ("web", container.StopConfig("", 90.0))
    assert (web.state, web.labels, db.unreadable) == (container.ContainerState.RUNNING, db.labels, "")


async def test_look__events_may_have_been_missed__asks_for_all(host: Host) -> None:
    await host.asked()
    host.inspections.invalidate_all()
    assert await host.asked() == [LIST, "containers/id-web/json", "containers/id-db/json"]


async def test_look__removed_between_the_two_calls__is_not_there(host: Host) -> None:
    del host.engine.answers["containers/id-web/json"]
    assert [container.name for container in await host.inspections.observe()] == ["db"]


async def test_look__removed_and_made_anew__is_asked_for(host: Host) -> None:
    await host.asked()
    host.has("db")
    await host.asked()
    host.has("web", "db")
    assert await host.asked() == [LIST, "containers/id-web/json"]


async def test_look__a_stranger__is_never_asked_for(host: Host) -> None:
    host.summary()["Labels"] = {}
    by_id = {container.id: container for container in await host.inspections.observe()}
    assert (by_id["id-web"].config.image, by_id["id-web"].labels) == ("", ())
    assert host.engine.paths() == [LIST, "containers/id-db/json"]


async def test_look__a_stranger_that_was_adopted__is_what_it_was_declared_as(host: Host) -> None:
    host.summary()["Labels"] = {}
    declared = builders.config("declared", env=(("A", ""),))
    host.engine.answers["containers/id-web/json"]["Config"]["Env"] = ["A=1"]
    host.table.state_file.note_container("id-web", sidecar.ContainerNote(adopted=declared, labels=OWNED))
    by_id = {container.id: container for container in await host.inspections.observe()}
    assert by_id["id-web"].config == dataclasses.replace(declared, env=(("A", "1"),))
    assert set(OWNED) <= set(by_id["id-web"].labels)


async def test_look__an_event_overtakes_the_answer__asks_again_the_next_time(host: Host) -> None:
    path = "containers/id-web/json"
    before = host.engine.answers[path]

    async def overtaken() -> dict[str, Any]:
        host.inspections.invalidate("id-web")
        return before

    host.engine.answers[path] = overtaken
    assert [container.name for container in await host.inspections.observe()] == ["db", "web"]
    host.engine.answers[path] = before
    host.engine.paths()
    assert await host.asked() == [LIST, path]
    assert await host.asked() == [LIST]


async def test_look__two_at_a_time_and_an_event_in_between__keep_the_later_answer(host: Host) -> None:
    path = "containers/id-web/json"
    older, begun, gate = host.engine.answers[path], asyncio.Event(), asyncio.Event()
    newer = {**older, "HostConfig": {**older["HostConfig"], "Memory": 64 << 20}}

    async def late() -> dict[str, Any]:
        begun.set()
        await gate.wait()
        return dict(older)

    host.engine.answers[path] = late
    async with asyncio.TaskGroup() as group:
        first = group.create_task(host.inspections.observe())
        await begun.wait()
        host.inspections.invalidate("id-web")
        host.engine.answers[path] = newer
        await host.inspections.observe()
        gate.set()
    assert len(first.result()) == 2
    memory_by_name = {
        container.name: container.config.resources.memory for container in await host.inspections.observe()
    }
    assert memory_by_name["web"] == 64 << 20


async def test_stopping__by_others__is_noted_since_podman_does_not_say_so_later(host: Host) -> None:
    host.engine.answers["containers/id-web/json"]["State"]["Status"] = "stopping"
    await host.inspections.observe()
    assert host.table.state_file.container("id-web").stop_requested_at == pytest.approx(1795577910.064189)


async def test_stopping__by_us__is_no_wish_of_others(host: Host) -> None:
    host.inspections.changing.add("id-web")
    host.engine.answers["containers/id-web/json"]["State"]["Status"] = "stopping"
    state_by_name = {container.name: container.state for container in await host.inspections.observe()}
    assert state_by_name["web"] is container.ContainerState.RUNNING
    assert host.table.state_file.container("id-web").stop_requested_at == 0.0


async def test_inspect__of_what_is_called_otherwise_in_the_engine__asks_by_that_name(host: Host) -> None:
    host.table.state_file.note_name(Kind.CONTAINER, "shop-web", "shop_web")
    host.engine.answers["containers/shop_web/json"] = {"Id": "1"}
    assert await host.inspections.inspect("shop-web") == {"Id": "1"}
