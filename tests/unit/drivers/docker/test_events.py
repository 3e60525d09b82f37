"""An engine's events: what they tell, what they make us look at again, and whose wish an end was."""

import dataclasses
import json
import pathlib
from typing import Any

import pytest

from agent import errors
from agent.drivers.docker import endpoint, events, features, inspections, names
from agent.kit import broadcast, clock
from agent.model.key import Kind
from agent.runtime import events as told_events
from tests.unit.drivers.docker import fakes, twin

NANOS, SECONDS = 1795577910250000000, 1795577910.25


class Before(clock.SystemClock):
    """A clock of the time when what is told of has not happened yet."""

    def now(self) -> float:
        """Return the moment a minute before the event."""
        return SECONDS - 60.0


VERSION = {"ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}


def event(kind: str, action: str, identity: str = "c1", **attributes: Any) -> dict[str, Any]:
    """Return an event as Docker words it."""
    actor = {"ID": identity, "Attributes": {key: str(value) for key, value in attributes.items()}}
    return {"Type": kind, "Action": action, "Actor": actor, "time": NANOS // 10**9, "timeNano": NANOS}


@dataclasses.dataclass(slots=True)
class Heard:
    """Events of an engine, with what they did."""

    engine: fakes.Engine
    inspections: "RecordingInspections"
    table: names.Names
    events: events.Events

    async def until_it_fails(self) -> tuple[list[told_events.RuntimeEvent], errors.Unavailable]:
        """Return all events, and the failure by which the stream ends."""
        events = []
        try:
            async for event in self.events.subscribe():
                events.append(event)  # noqa: PERF401 - what came before the failure
        except errors.Unavailable as error:
            return events, error
        raise AssertionError("a stream that ends is a failure")

    async def all(self) -> list[told_events.RuntimeEvent]:
        """Return all events until the stream is closed."""
        events, failure = await self.until_it_fails()
        assert failure.reason == "EngineDown"
        return events


class RecordingInspections(inspections.Inspections):
    """Remembers what was to be looked at again."""

    def __init__(self, engine: Any, table: names.Names) -> None:
        super().__init__(engine, table)
        self.changes: list[str] = []

    def invalidate(self, container_id: str) -> None:
        """Note it."""
        self.changes.append(container_id)
        super().invalidate(container_id)

    def invalidate_all(self) -> None:
        """Note it."""
        self.changes.append("all")
        super().invalidate_all()


class Version(fakes.Engine):
    """An engine that answers with its version too."""

    where = endpoint.Endpoint("docker", "unix:///nowhere")
    versions = 0

    async def version(self) -> dict[str, Any]:
        """Return the version, and count the calls."""
        self.versions += 1
        return VERSION


@pytest.fixture
def heard(tmp_path: pathlib.Path) -> Heard:
    engine = Version()
    table = twin.table(tmp_path)
    inspections = RecordingInspections(engine, table)
    current_features = features.EngineFeatures(engine)
    return Heard(
        engine,
        inspections,
        table,
        events.Events(
            engine=engine,
            inspections=inspections,
            names=table,
            current_features=current_features,
            clock=Before(),
            own=broadcast.Broadcast(),
        ),
    )


async def events_of(heard: Heard, *messages: dict[str, Any]) -> list[told_events.RuntimeEvent]:
    """Return the events of an engine that sends these messages."""
    heard.engine.stream = [json.dumps(message).encode() + b"\n" for message in messages]
    return await heard.all()


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("create", told_events.EventAction.CREATED),
        ("start", told_events.EventAction.STARTED),
        ("die", told_events.EventAction.EXITED),
        ("died", told_events.EventAction.EXITED),
        ("oom", told_events.EventAction.CHANGED),
        ("destroy", told_events.EventAction.REMOVED),
        ("remove", told_events.EventAction.REMOVED),
        ("update", told_events.EventAction.CHANGED),
        ("rename", told_events.EventAction.CHANGED),
        ("pause", told_events.EventAction.CHANGED),
        ("sync", told_events.EventAction.CHANGED),
    ],
)
async def test_container__something_happened__is_told(
    heard: Heard, action: str, expected: told_events.EventAction
) -> None:
    events = await events_of(heard, event("container", action, name="web", image="app"))
    assert events == [told_events.RuntimeEvent(Kind.CONTAINER, "c1", "web", expected, SECONDS, None)]
    assert heard.inspections.changes == ["all", "c1", "all"]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [({"exitCode": "137"}, 137), ({"containerExitCode": 0}, 0), ({"exitCode": "-1"}, None), ({}, None)],
)
async def test_container__has_ended__with_its_code(heard: Heard, attributes: dict[str, Any], code: int | None) -> None:
    assert [
        event.exit_code for event in await events_of(heard, event("container", "die", name="web", **attributes))
    ] == [code]


async def test_time__of_an_engine_that_tells_seconds_only__is_taken(heard: Heard) -> None:
    without = {**event("container", "start"), "timeNano": None}
    assert [event.time for event in await events_of(heard, without)] == [float(NANOS // 10**9)]


@pytest.mark.parametrize(
    "action", ["exec_create: /bin/sh -c true", "exec_start: x", "exec_die", "health_status: healthy", "top", "attach"]
)
async def test_container__looked_into__is_not_looked_at_again(heard: Heard, action: str) -> None:
    assert await events_of(heard, event("container", action)) == []
    assert heard.inspections.changes == ["all", "all"]


async def test_container__something_that_nobody_knows__is_looked_at_again(heard: Heard) -> None:
    assert await events_of(heard, event("container", "something-new")) == []
    assert heard.inspections.changes == ["all", "c1", "all"]


@pytest.mark.parametrize(
    ("action", "attributes", "noted"),
    [
        ("stop", {}, SECONDS),
        ("kill", {"signal": "15"}, SECONDS),
        ("kill", {"signal": "9"}, SECONDS),
        ("kill", {"signal": "1"}, 0.0),
        ("kill", {}, 0.0),
        ("die", {}, 0.0),
    ],
)
async def test_container__asked_to_end_by_others__is_noted(
    heard: Heard, action: str, attributes: dict[str, Any], noted: float
) -> None:
    await events_of(heard, event("container", action, **attributes))
    assert heard.table.state_file.container("c1").stop_requested_at == noted


async def test_container__asked_to_end_by_us__is_not_noted_as_anothers_wish(heard: Heard) -> None:
    heard.inspections.changing.add("c1")
    await events_of(heard, event("container", "stop"), event("container", "kill", "c2", signal=15))
    assert heard.table.state_file.container("c1").stop_requested_at == 0.0
    assert heard.table.state_file.container("c2").stop_requested_at == SECONDS


async def test_container__removed_by_others__is_forgotten(heard: Heard) -> None:
    await events_of(heard, event("container", "kill", signal=9), event("container", "destroy", name="web"))
    assert heard.table.state_file.container("c1").stop_requested_at == 0.0


async def test_container__that_was_adopted__is_told_by_its_name_in_manifests(heard: Heard) -> None:
    heard.table.state_file.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    assert [event.name for event in await events_of(heard, event("container", "start", name="shop_web_1"))] == [
        "shop-web-1"
    ]


async def test_network__a_place_in_it_changed__is_told_and_its_container_looked_at(heard: Heard) -> None:
    events = await events_of(heard, event("network", "connect", "n1", name="trimtab-test1-bridge", container="c9"))
    changed = told_events.EventAction.CHANGED
    assert events == [told_events.RuntimeEvent(Kind.NETWORK, "n1", "bridge", changed, SECONDS, None)]
    assert heard.inspections.changes == ["all", "c9", "all"]


@pytest.mark.parametrize("name", ["bridge", "host", "none", "podman"])
async def test_network__part_of_the_engine__is_no_news_but_for_its_container(heard: Heard, name: str) -> None:
    assert await events_of(heard, event("network", "connect", "n1", name=name, container="c9")) == []
    assert heard.inspections.changes == ["all", "c9", "all"]


async def test_others__volumes_and_images_are_told_and_all_else_is_not(heard: Heard) -> None:
    events = await events_of(
        heard,
        event("volume", "destroy", "data"),
        event("image", "delete", "sha256:1", name="app:1"),
        event("plugin", "enable", "p1"),
        event("service", "create", "s1"),
        event("daemon", "reload", "d1"),
    )
    assert [(event.kind.value, event.name, event.action.name) for event in events] == [
        ("Volume", "data", "REMOVED"),
        ("Image", "app:1", "REMOVED"),
    ]


async def test_stream__cut_anywhere__has_the_same_events(heard: Heard) -> None:
    data = b"".join(json.dumps(event("container", "start", name, name=name)).encode() + b"\r\n" for name in ("a", "b"))
    for cut in range(0, len(data), 7):
        heard.engine.stream = [data[:cut], data[cut:]]
        assert [event.id for event in await heard.all()] == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[]", b"5", b'{"Actor": 5}', b'{"Actor": {"Attributes": []}}x', b'{"Actor": {"Attributes": 5}}'],
)
async def test_stream__that_makes_no_sense__is_a_failure_after_which_all_is_looked_at(
    heard: Heard, line: bytes
) -> None:
    heard.engine.stream = [json.dumps(event("container", "start")).encode() + b"\n", line + b"\n"]
    events, failure = await heard.until_it_fails()
    assert (failure.reason, [event.id for event in events], heard.inspections.changes[-1]) == (
        "EngineFailure",
        ["c1"],
        "all",
    )


async def test_stream__without_an_end_of_a_line__does_not_fill_the_memory(heard: Heard) -> None:
    heard.engine.stream = [b"x" * 600_000, b"x" * 600_000, b"x" * 600_000]
    with pytest.raises(errors.Unavailable, match="make no sense"):
        await anext(heard.events.subscribe())


async def test_subscribe__again__asks_the_engine_anew_what_it_can_do_and_from_then_on(heard: Heard) -> None:
    await events_of(heard)
    await events_of(heard)
    assert heard.engine.versions == 2
    assert heard.events.current_features.features.name == "docker"
    sinces = [float(params["since"]) for path, params in heard.engine.asked if path == "events"]
    assert sinces == sorted(sinces)
    assert len(sinces) == 2
