"""What a container uses, in the words of Docker on cgroups of both versions and of Podman."""

from typing import Any

import pytest

from agent.drivers.docker import usage
from agent.runtime import api

DOCKER: dict[str, Any] = {
    "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
    "memory_stats": {"usage": 1000, "limit": 10**12, "stats": {"inactive_file": 200}},
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
    assert usage.stats(DOCKER, 2000) == api.ContainerStats(
        cpu_seconds=2.5,
        memory_usage=1000,
        memory_working_set=800,
        memory_limit=2000,
        pids=3,
        oom_kills=0,
        networks=(
            api.NetworkStats(*("eth0", 1, 2, 3, 4), *(5, 6, 7, 8)),
            api.NetworkStats(*("eth1", 9, 0, 0, 0), *(0, 0, 0, 0)),
        ),
    )


@pytest.mark.parametrize(
    ("stats", "working_set"),
    [({"total_inactive_file": 300, "inactive_file": 1}, 700), ({"inactive_file": 5000}, 0), ({}, 1000)],
)
def test_docker__memory__is_less_what_is_inactive_in_either_cgroup_version(stats: Any, working_set: int) -> None:
    memory = {"usage": 1000, "stats": stats}
    assert usage.stats({**DOCKER, "memory_stats": memory}, None).memory_working_set == working_set


@pytest.mark.parametrize("answer", [{}, dict.fromkeys(DOCKER)])
def test_docker__has_just_ended__uses_nothing(answer: dict[str, Any]) -> None:
    assert usage.stats(answer, None) == api.ContainerStats(0.0, 0, 0, None, 0, 0, ())


def test_podman__in_its_own_api__every_figure_is_in_its_place() -> None:
    answer = {"CPUNano": 2_500_000_000, "MemUsage": 1000, "MemLimit": 10**12, "PIDs": 3, "NetInput": 4, "NetOutput": 5}
    total = api.NetworkStats(*("total", 4, 0, 0, 0), *(5, 0, 0, 0))
    assert usage.stats_of_podman(answer, 2000) == api.ContainerStats(2.5, 1000, 1000, 2000, 3, 0, (total,))
    nothing = api.NetworkStats(*("total", 0, 0, 0, 0), *(0, 0, 0, 0))
    assert usage.stats_of_podman({}, None) == api.ContainerStats(0.0, 0, 0, None, 0, 0, (nothing,))
