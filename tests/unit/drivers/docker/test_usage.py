"""What a container uses, in the words of Docker on cgroups of both versions and of Podman."""

import dataclasses
import itertools
from typing import Any

import pytest

from agent.drivers.docker import usage
from agent.kit import resource_usage
from agent.model import container

LIMITS = container.Resources(cpu_millis=500, memory=2000, memory_reservation=None, pids=None)
UNITS = ("Bytes", "Packets", "Errors", "Dropped")
NO_LIMITS = container.Resources(None, None, None, None)
V1 = {"total_inactive_file": 200, "total_rss": 600, "total_cache": 400, "total_mapped_file": 100, "total_swap": 0}
V1_UNLIMITED = {**V1, "hierarchical_memsw_limit": 9223372036854771712}
V1_LIMITED = {**V1, "hierarchical_memsw_limit": 2000}
V2 = {"inactive_file": 200, "anon": 600, "file": 400, "file_mapped": 100}
DOCKER: dict[str, Any] = {
    "cpu_stats": {
        "cpu_usage": {
            "total_usage": 2_500_000_000,
            "usage_in_usermode": 2_000_000_000,
            "usage_in_kernelmode": 500_000_000,
        },
        "throttling_data": {"periods": 40, "throttled_periods": 10, "throttled_time": 1_500_000_000},
    },
    "memory_stats": {"usage": 1000, "limit": 10**12, "stats": V1},
    "pids_stats": {"current": 3},
    "networks": {
        "eth1": {"rx_bytes": 9},
        "eth0": {
            "rx_bytes": 1,
            "rx_packets": 2,
            "rx_errors": 3,
            "rx_dropped": 4,
            "tx_bytes": 5,
            "tx_packets": 6,
            "tx_errors": 7,
            "tx_dropped": 8,
        },
    },
}


def test_docker__every_figure__is_in_its_place() -> None:
    assert usage.stats(DOCKER, LIMITS) == resource_usage.Usage(
        cpu=resource_usage.Cpu(2.5, 2.0, 0.5),
        throttling=resource_usage.Throttling(40, 10, 1.5),
        memory=resource_usage.Memory(1000, 800, 2000, 600, 400, 0, 100),
        threads=3,
        interfaces=(
            resource_usage.Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8),
            resource_usage.Interface("eth1", receive_bytes=9),
        ),
    )


def test_docker__on_cgroup_v2__knows_all_but_swap() -> None:
    answer = {**DOCKER, "memory_stats": {"usage": 1000, "stats": V2}}
    expected = usage.stats(DOCKER, LIMITS)
    assert expected.memory is not None
    assert usage.stats(answer, LIMITS).memory == dataclasses.replace(expected.memory, swap=None)


@pytest.mark.parametrize(("stats", "limit"), [(V1, None), (V1_UNLIMITED, 0), (V1_LIMITED, 2000)])
def test_docker__limit_with_swap__is_told_where_the_kernel_counts_swap(stats: Any, limit: int | None) -> None:
    memory = usage.stats({**DOCKER, "memory_stats": {"usage": 1000, "stats": stats}}, LIMITS).memory
    assert memory is not None
    assert memory.swap_limit == limit


def test_docker__no_limits__nothing_is_throttled() -> None:
    answer = usage.stats(DOCKER, NO_LIMITS)
    assert answer.memory is not None
    assert (answer.throttling, answer.memory.limit) == (None, None)


@pytest.mark.parametrize(
    ("stats", "working_set"),
    [({"total_inactive_file": 300, "inactive_file": 1}, 700), ({"inactive_file": 5000}, 0), ({}, 1000)],
)
def test_docker__memory__is_less_what_is_inactive_in_either_cgroup_version(stats: Any, working_set: int) -> None:
    memory = {"usage": 1000, "stats": stats}
    assert usage.stats({**DOCKER, "memory_stats": memory}, LIMITS).memory == resource_usage.Memory(
        1000, working_set, 2000
    )


@pytest.mark.parametrize(
    "answer",
    [{}, dict.fromkeys(DOCKER), {"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}, "pids_stats": {}}],
)
def test_docker__has_just_ended__says_nothing_rather_than_0(answer: dict[str, Any]) -> None:
    assert usage.stats(answer, LIMITS) == resource_usage.Usage()


def test_podman__in_its_own_api__every_figure_is_in_its_place() -> None:
    times = {"CPUNano": 2_500_000_000, "CPUSystemNano": 500_000_000}
    answer = {**times, "MemUsage": 1000, "MemLimit": 10**12, "PIDs": 3, "NetInput": 4, "NetOutput": 5}
    assert usage.stats_of_podman(answer, LIMITS) == resource_usage.Usage(
        cpu=resource_usage.Cpu(2.5, 2.0, 0.5),
        memory=resource_usage.Memory(1000, 1000, 2000),
        threads=3,
        interfaces=(resource_usage.Interface("total", receive_bytes=4, transmit_bytes=5),),
    )
    assert usage.stats_of_podman({}, NO_LIMITS) == resource_usage.Usage()


def test_podman__from_release_5__each_interface_is_counted_whole() -> None:
    counters = {f"{side}{unit}": number for number, (side, unit) in enumerate(itertools.product(("Rx", "Tx"), UNITS))}
    used = usage.stats_of_podman({"Network": {"eth1": {"RxBytes": 9}, "eth0": counters}, "NetInput": 7}, NO_LIMITS)
    whole = resource_usage.Interface("eth0", 0, 1, 2, 3, 4, 5, 6, 7)
    assert used.interfaces == (whole, resource_usage.Interface("eth1", receive_bytes=9))
