"""Several instances of one container, brought about over every runtime by the loop itself."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from agent.converge import goal as goals
from agent.converge import journal, once, reconcile
from agent.kit import clock
from agent.model import container, image, instances, state
from agent.model.key import Kind, ObjectKey
from agent.runtime import streams
from tests import builders
from tests.conformance.conftest import REFERENCE, Harness

KEY = ObjectKey(Kind.CONTAINER, "web")
_PATIENCE = 60.0


@contextlib.contextmanager
def parts_of(harness: Harness, folder: pathlib.Path) -> Iterator[reconcile.Parts]:
    """Yield what a loop over the runtime is made of."""
    with journal.Journal(folder / "journal.db", on_failure=lambda _: None) as book:
        yield reconcile.Parts(harness.runtime, book, lambda _: None, clock.SystemClock(), builders.OWNER)


def declared(harness: Harness, count: int, config: container.ContainerConfig) -> state.DesiredState:
    """Declare a container so many times, with its image and network."""
    source = image.ArchiveSource(str(harness.archive), "1")
    return state.DesiredState.of(
        f"r{count}",
        (
            image.ImageConfig("busybox", REFERENCE, source),
            builders.network_config("shop"),
            *instances.expand([config], {config.name: count}),
        ),
    )


def by_name(containers: tuple[container.ObservedContainer, ...]) -> dict[str, container.ObservedContainer]:
    """Return containers by their names."""
    return {observed.name: observed for observed in containers}


async def test_instances__are_brought_about_told_apart_and_removed_each_alone(
    harness: Harness, tmp_path: pathlib.Path
) -> None:
    config = harness.config(hostname="web", networks=(container.NetworkAttachment("shop"),))
    with parts_of(harness, tmp_path) as parts:
        three = declared(harness, 3, config)
        converged = await once.converge_once(parts, goals.Goal.everything(three), _PATIENCE)
        assert (converged.outcome, converged.unfinished) == (once.Outcome.APPLIED, ())

        running = by_name(await harness.runtime.containers.list())
        assert [(name, state.key_of(observed.config).ordinal) for name, observed in running.items()] == [
            ("web", 0),
            ("web-1", 1),
            ("web-2", 2),
        ]
        assert {state.key_of(observed.config).object for observed in running.values()} == {KEY}
        assert len({dict(observed.addresses)["shop"] for observed in running.values()}) == 3
        assert [status.key.ordinal for status in converged.statuses if status.key.kind is Kind.CONTAINER] == [0, 1, 2]

        await harness.runtime.containers.remove("web-1")
        await once.converge_once(parts, goals.Goal.everything(three), _PATIENCE)
        again = by_name(await harness.runtime.containers.list())
        assert {name for name in running if again[name].id != running[name].id} == {"web-1"}

        one = declared(harness, 1, config)
        await once.converge_once(parts, goals.Goal.everything(one), _PATIENCE)
        assert by_name(await harness.runtime.containers.list()) == {"web": again["web"]}


async def test_instances__the_declaration_changes__each_is_replaced_and_nothing_is_planned_then(
    harness: Harness, tmp_path: pathlib.Path
) -> None:
    config = harness.config(networks=(container.NetworkAttachment("shop"),))
    changed = dataclasses.replace(config, env=(("COLOUR", "green"),))
    with parts_of(harness, tmp_path) as parts:
        await once.converge_once(parts, goals.Goal.everything(declared(harness, 2, config)), _PATIENCE)
        goal = goals.Goal.everything(declared(harness, 2, changed))
        converged = await once.converge_once(parts, goal, _PATIENCE)
        assert converged.outcome is once.Outcome.APPLIED
        running = by_name(await harness.runtime.containers.list())
        assert {name: observed.config.env for name, observed in running.items()} == {
            "web": changed.env,
            "web-1": changed.env,
        }


async def test_dns__of_the_objects_name__gives_every_instance(harness: Harness, tmp_path: pathlib.Path) -> None:
    server = "$(sed -n '/^nameserver /{s///p;q}' /etc/resolv.conf)"
    lookup = f"nslookup -type=a web {server} | sed -n 's/^Address: //p'"
    config = harness.config(networks=(container.NetworkAttachment("shop"),))
    with parts_of(harness, tmp_path) as parts:
        await once.converge_once(parts, goals.Goal.everything(declared(harness, 2, config)), _PATIENCE)
        running = await harness.runtime.containers.list()
        expected = sorted(dict(observed.addresses)["shop"] for observed in running)
        harness.program("/bin/sh", 0, "\n".join(expected).encode())

        async def answers() -> list[str]:
            request = streams.ExecRequest(("/bin/sh", "-c", lookup))
            async with harness.runtime.containers.exec("web", request) as session:
                output = b"".join([chunk async for _, chunk in session.output()])
            return sorted(set(output.decode().split()))  # some servers give one twice

        if harness.name == "podman":  # it signals its DNS server, and does not wait until that has read of a container
            async with asyncio.timeout(_PATIENCE):
                while await answers() != expected:  # noqa: ASYNC110 - seen from inside of a container
                    await asyncio.sleep(0.1)
        assert await answers() == expected
