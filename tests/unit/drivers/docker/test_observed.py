"""A container's life as an engine tells it: its state, its end, who wanted that, and what others have changed."""

import dataclasses
from typing import Any

import pytest

from agent.drivers.docker import limits, names, sidecar, translate
from agent.model import container
from tests import builders
from tests.unit.drivers.docker import twin

CONFIG = builders.config(networks=(container.NetworkAttachment("shop", ("www",), "10.9.0.5"),))
NOTHING = sidecar.ContainerNote()
STARTED, STARTED_AT = "2026-11-25T03:38:30.5Z", 1795577910.5


@pytest.fixture
def table(tmp_path) -> names.Names:
    return twin.table(tmp_path)


def observe(
    table: names.Names, note: sidecar.ContainerNote = NOTHING, flavour: str = "podman-4.3", **state: Any
) -> container.ObservedContainer:
    """Observe the container with a state that it is in."""
    inspected = twin.inspected(flavour, CONFIG, (), table)
    return translate.observed_container(CONFIG, {**inspected, "State": state or inspected["State"]}, note, table)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("created", "created"),
        ("configured", "created"),
        ("initialized", "created"),
        ("running", "running"),
        ("paused", "running"),
        ("restarting", "running"),
        ("stopping", "running"),
        ("exited", "exited"),
        ("stopped", "exited"),
        ("dead", "exited"),
        ("removing", "exited"),
        ("a new one", "exited"),
    ],
)
def test_state__each_engines_word__is_one_of_ours(table: names.Names, status: str, state: str) -> None:
    assert observe(table, Status=status).state.value == state


def test_running__has_a_process_its_addresses_and_no_end(table: names.Names) -> None:
    observed = observe(table, Status="running", Pid=7, ExitCode=0, StartedAt=STARTED, FinishedAt=STARTED)
    assert (observed.pid, observed.exit_code, observed.finished_at, observed.started_at) == (7, None, None, STARTED_AT)
    assert observed.addresses == (("shop", "10.9.0.5"),)


def test_exited__has_its_code_its_end_and_no_process(table: names.Names) -> None:
    observed = observe(
        table, Status="exited", Pid=7, ExitCode=137, OOMKilled=True, StartedAt=STARTED, FinishedAt=STARTED
    )
    assert (observed.pid, observed.exit_code, observed.oom_killed, observed.finished_at) == (
        None,
        137,
        True,
        STARTED_AT,
    )
    assert observed.addresses == ()


@pytest.mark.parametrize(("asked_at", "requested"), [(0.0, False), (STARTED_AT - 1, False), (STARTED_AT, True)])
def test_exited__asked_to_end__counts_for_this_run_only(table: names.Names, asked_at: float, requested: bool) -> None:
    note = sidecar.ContainerNote(stop_requested_at=asked_at)
    assert observe(table, note, Status="exited", StartedAt=STARTED).stop_requested is requested
    assert not observe(table, note, Status="running", StartedAt=STARTED).stop_requested


def test_never_started__was_never_asked_to_end(table: names.Names) -> None:
    note = sidecar.ContainerNote(stop_requested_at=STARTED_AT)
    assert not observe(table, note, Status="exited", StartedAt="0001-01-01T00:00:00Z").stop_requested


def test_changes_behind_our_back__limits_values_names_and_networks__are_seen(table: names.Names) -> None:
    config = dataclasses.replace(CONFIG, env=(("A", "1"), ("B", "2")))
    inspected = twin.inspected("docker-28", config, (), table)
    inspected["Name"] = "/other"
    inspected["HostConfig"]["Memory"] = 32 << 20
    inspected["Config"]["Env"] = ["A=changed"]
    inspected["NetworkSettings"]["Networks"] = {"lan": {"Aliases": ["www"], "IPAMConfig": {}, "IPAddress": "10.8.0.2"}}
    observed = translate.observed_container(config, inspected, NOTHING, table)
    assert observed.name == "other"
    assert observed.config.resources.memory == 32 << 20
    assert observed.config.env == (("A", "changed"), ("B", ""))
    assert observed.config.networks == (container.NetworkAttachment("lan", ("www",), None),)


@pytest.mark.parametrize("flavour", twin.FLAVOURS)
def test_network__aliases_changed_by_others__are_seen(table: names.Names, flavour: str) -> None:
    inspected = twin.inspected(flavour, CONFIG, (), table)
    inspected["NetworkSettings"]["Networks"]["shop"]["Aliases"] = ["other", "web", twin.ID[:12]]
    observed = translate.observed_container(CONFIG, inspected, NOTHING, table)
    assert [network.aliases for network in observed.config.networks] == [("other",)]


@pytest.mark.parametrize("flavour", twin.FLAVOURS)
def test_network__another_address_than_the_fixed_one__is_seen(table: names.Names, flavour: str) -> None:
    inspected = twin.inspected(flavour, CONFIG, (), table)
    attachment = inspected["NetworkSettings"]["Networks"]["shop"]
    attachment.update(IPAMConfig=None, IPAddress="10.9.0.99")
    observed = translate.observed_container(CONFIG, inspected, NOTHING, table)
    assert [network.ipv4 for network in observed.config.networks] == [None]


def test_network__connected_anew__is_what_was_given_then(table: names.Names) -> None:
    inspected = twin.inspected("podman-4.3", CONFIG, (), table)
    attachment = inspected["NetworkSettings"]["Networks"]["shop"]
    attachment.update(Aliases=["web", twin.ID[:12]], IPAddress="10.9.0.6")
    note = sidecar.ContainerNote(aliases=(("shop", ("web",)),), addresses=(("shop", "10.9.0.6"),))
    observed = translate.observed_container(CONFIG, inspected, note, table)
    assert observed.config.networks == (container.NetworkAttachment("shop", ("web",), "10.9.0.6"),)
    without = dataclasses.replace(note, addresses=(("shop", ""),))
    assert translate.observed_container(CONFIG, inspected, without, table).config.networks[0].ipv4 is None


def test_network__the_engines_own__is_no_object(table: names.Names) -> None:
    inspected = twin.inspected("docker-20.10", builders.config(), (), table)
    inspected["NetworkSettings"]["Networks"] = {"bridge": {}, "podman": None, "none": {}, "trimtab-test1-bridge": {}}
    observed = translate.observed_container(builders.config(), inspected, NOTHING, table)
    assert [network.network for network in observed.config.networks] == ["bridge"]


def test_labels__are_the_engines_and_those_noted__without_what_is_remembered(table: names.Names) -> None:
    inspected = twin.inspected("docker-20.10", CONFIG, (("trimtab.dev/owner", "test1"),), table)
    observed = translate.observed_container(CONFIG, inspected, sidecar.ContainerNote(labels=(("noted", "yes"),)), table)
    assert observed.labels == (
        ("app", "the image's"),
        ("noted", "yes"),
        ("of.the.image", "yes"),
        ("trimtab.dev/owner", "test1"),
    )


@pytest.mark.parametrize(
    ("resources", "body"),
    [
        (
            container.Resources(500, 64 << 20, None, None),
            {"CpuPeriod": 100_000, "CpuQuota": 50_000, "Memory": 64 << 20, "MemorySwap": 64 << 20, "PidsLimit": -1},
        ),
        (container.Resources(5, None, None, 7), {"CpuPeriod": 1_000_000, "CpuQuota": 5_000, "PidsLimit": 7}),
        (container.Resources(1, None, None, 7), {"CpuPeriod": 1_000_000, "CpuQuota": 1_000, "PidsLimit": 7}),
        (container.Resources(None, None, None, None), {"CpuPeriod": 100_000, "PidsLimit": -1}),
    ],
)
def test_limits__at_creation__only_processes_have_to_be_lifted(
    resources: container.Resources, body: dict[str, int]
) -> None:
    assert limits.at_creation(resources) == body
    assert limits.read(body) == resources


@pytest.mark.parametrize("nothing", [0, -1, None])
def test_limits__as_engines_write_that_there_are_none__are_none(nothing: int | None) -> None:
    host = dict.fromkeys(("Memory", "MemoryReservation", "CpuQuota", "CpuPeriod", "PidsLimit", "NanoCpus"), nothing)
    assert limits.read(host) == container.Resources(None, None, None, None)


@pytest.mark.parametrize(
    ("host", "resources", "body"),
    [
        ({}, container.Resources(None, None, None, None), {}),
        ({"Memory": 1}, container.Resources(None, 2, None, None), {"Memory": 2, "MemorySwap": 2}),
        ({"Memory": 1}, container.Resources(None, None, None, None), {"Memory": -1, "MemorySwap": -1}),
        ({"PidsLimit": 5}, container.Resources(None, None, None, None), {"PidsLimit": -1}),
        ({}, container.Resources(500, None, None, None), {"CpuPeriod": 100_000, "CpuQuota": 50_000}),
        (
            {"CpuQuota": 5_000, "CpuPeriod": 1_000_000},
            container.Resources(50, None, None, None),
            {"CpuPeriod": 100_000, "CpuQuota": 5_000},
        ),
        ({"NanoCpus": 500_000_000}, container.Resources(250, None, None, None), {"NanoCpus": 250_000_000}),
        ({"NanoCpus": 500_000_000, "PidsLimit": 3}, container.Resources(500, None, None, 4), {"PidsLimit": 4}),
    ],
)
def test_limits__changed_in_place__only_what_differs_in_the_words_it_was_limited_by(
    host: dict[str, int], resources: container.Resources, body: dict[str, int]
) -> None:
    assert limits.change(host, resources) == body
