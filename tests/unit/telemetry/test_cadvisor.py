"""Series under cAdvisor's names: for each figure that a runtime tells, and for no other."""

import pytest

from agent.kit import machine, resource_usage
from agent.model import container
from agent.telemetry import cadvisor, families
from tests import builders
from tests.unit.telemetry import conftest

LIMITS = container.Resources(cpu_millis=500, memory=64 << 20, memory_reservation=32 << 20, pids=20)
WEB = builders.config("web", resources=LIMITS)
LABELS = f'id="/trimtab-0/id-web",image="{builders.IMAGE}",name="web"'
NAMES = {  # as its docs/storage/prometheus.md and metrics/prometheus.go have them: type, and labels of their own
    "container_cpu_cfs_periods_total": ("counter", ()),
    "container_cpu_cfs_throttled_periods_total": ("counter", ()),
    "container_cpu_cfs_throttled_seconds_total": ("counter", ()),
    "container_cpu_system_seconds_total": ("counter", ()),
    "container_cpu_usage_seconds_total": ("counter", ("cpu",)),
    "container_cpu_user_seconds_total": ("counter", ()),
    "container_fs_reads_bytes_total": ("counter", ("device",)),
    "container_fs_reads_total": ("counter", ("device",)),
    "container_fs_writes_bytes_total": ("counter", ("device",)),
    "container_fs_writes_total": ("counter", ("device",)),
    "container_last_seen": ("gauge", ()),
    "container_memory_cache": ("gauge", ()),
    "container_memory_mapped_file": ("gauge", ()),
    "container_memory_rss": ("gauge", ()),
    "container_memory_swap": ("gauge", ()),
    "container_memory_usage_bytes": ("gauge", ()),
    "container_memory_working_set_bytes": ("gauge", ()),
    "container_network_receive_bytes_total": ("counter", ("interface",)),
    "container_network_receive_errors_total": ("counter", ("interface",)),
    "container_network_receive_packets_dropped_total": ("counter", ("interface",)),
    "container_network_receive_packets_total": ("counter", ("interface",)),
    "container_network_transmit_bytes_total": ("counter", ("interface",)),
    "container_network_transmit_errors_total": ("counter", ("interface",)),
    "container_network_transmit_packets_dropped_total": ("counter", ("interface",)),
    "container_network_transmit_packets_total": ("counter", ("interface",)),
    "container_oom_events_total": ("counter", ()),
    "container_processes": ("gauge", ()),
    "container_spec_cpu_period": ("gauge", ()),
    "container_spec_cpu_quota": ("gauge", ()),
    "container_spec_cpu_shares": ("gauge", ()),
    "container_spec_memory_limit_bytes": ("gauge", ()),
    "container_spec_memory_reservation_limit_bytes": ("gauge", ()),
    "container_spec_memory_swap_limit_bytes": ("gauge", ()),
    "container_start_time_seconds": ("gauge", ()),
    "container_threads": ("gauge", ()),
}


async def series(stage: conftest.Stage, config: container.ContainerConfig = WEB) -> dict[str, float]:
    """Return the ``container_`` series of a scrape while ``web`` runs; what every container has is left out."""
    stage.sink.take(conftest.walked(builders.desired(config), builders.world(builders.observed(config))))
    always = ("container_last_seen", "container_start_time_seconds", "container_spec_cpu_", "container_spec_memory_res")
    samples = await stage.scrape()
    return {
        name.removeprefix("container_"): value
        for name, value in samples.items()
        if name.startswith("container_") and not name.startswith(always)
    }


def test_table__is_named_typed_and_labelled_as_cadvisors_own() -> None:
    own = {metric.name: metric for metric in cadvisor.TABLE if metric.name.startswith("container_")}
    assert {name: (metric.type.value, metric.labels[3:]) for name, metric in own.items()} == NAMES
    assert {metric.labels[:3] for metric in own.values()} == {("name", "image", "id")}
    others = {metric for metric in cadvisor.TABLE if metric.name not in own}
    assert {(metric.name, metric.type, metric.labels) for metric in others} == {
        ("machine_cpu_cores", families.Type.GAUGE, ()),
        ("machine_memory_bytes", families.Type.GAUGE, ()),
    }


async def test_scrape__every_figure_is_known__has_a_series(stage: conftest.Stage) -> None:
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB))))
    stage.usage.stats_by_id = {"id-web": conftest.USAGE, "somebody-elses": conftest.USAGE}
    samples = await stage.scrape()
    assert {name: value for name, value in samples.items() if name.startswith("container_")} == {
        f'container_cpu_usage_seconds_total{{cpu="total",{LABELS}}}': 1.5,
        f"container_cpu_user_seconds_total{{{LABELS}}}": 1.0,
        f"container_cpu_system_seconds_total{{{LABELS}}}": 0.5,
        f"container_cpu_cfs_periods_total{{{LABELS}}}": 20,
        f"container_cpu_cfs_throttled_periods_total{{{LABELS}}}": 10,
        f"container_cpu_cfs_throttled_seconds_total{{{LABELS}}}": 0.25,
        f"container_memory_usage_bytes{{{LABELS}}}": 3000,
        f"container_memory_working_set_bytes{{{LABELS}}}": 2000,
        f"container_memory_rss{{{LABELS}}}": 1200,
        f"container_memory_cache{{{LABELS}}}": 1800,
        f"container_memory_swap{{{LABELS}}}": 0,
        f"container_memory_mapped_file{{{LABELS}}}": 700,
        f"container_processes{{{LABELS}}}": 3,
        f"container_threads{{{LABELS}}}": 7,
        f"container_oom_events_total{{{LABELS}}}": 2,
        f"container_spec_cpu_period{{{LABELS}}}": 100_000,
        f"container_spec_cpu_quota{{{LABELS}}}": 50_000,
        f"container_spec_cpu_shares{{{LABELS}}}": 1024,
        f"container_spec_memory_limit_bytes{{{LABELS}}}": 0,
        f"container_spec_memory_reservation_limit_bytes{{{LABELS}}}": 32 << 20,
        f"container_spec_memory_swap_limit_bytes{{{LABELS}}}": 0,
        f"container_start_time_seconds{{{LABELS}}}": 950,
        f"container_last_seen{{{LABELS}}}": builders.NOW + 5,
        **{
            f'container_fs_{name}_total{{device="/dev/sda",{LABELS}}}': value
            for name, value in (("reads_bytes", 4096), ("writes_bytes", 512), ("reads", 3), ("writes", 1))
        },
        **{
            f'container_network_{name}_total{{id="/trimtab-0/id-web",image="{builders.IMAGE}",interface="eth0",'
            f'name="web"}}': value
            for name, value in (
                ("receive_bytes", 1),
                ("receive_packets", 2),
                ("receive_errors", 3),
                ("receive_packets_dropped", 4),
                ("transmit_bytes", 5),
                ("transmit_packets", 6),
                ("transmit_errors", 7),
                ("transmit_packets_dropped", 8),
            )
        },
    }


async def test_scrape__nothing_is_known_of_what_it_uses__has_no_such_series(stage: conftest.Stage) -> None:
    stage.usage.stats_by_id = {"id-web": resource_usage.Usage()}
    assert await series(stage) == {}


async def test_scrape__cgroup_is_not_known__has_the_containers_id(stage: conftest.Stage) -> None:
    stage.usage.stats_by_id = {"id-web": resource_usage.Usage(threads=2)}
    assert await series(stage) == {f'threads{{id="id-web",image="{builders.IMAGE}",name="web"}}': 2}


@pytest.mark.parametrize(
    ("usage", "names"),
    [
        (resource_usage.Usage(cpu=resource_usage.Cpu(1.0)), {"cpu_usage_seconds_total"}),
        (
            resource_usage.Usage(memory=resource_usage.Memory(2, 1, None)),
            {"memory_usage_bytes", "memory_working_set_bytes", "spec_memory_limit_bytes"},
        ),
        (
            resource_usage.Usage(interfaces=(resource_usage.Interface("total", receive_bytes=0),)),
            {"network_receive_bytes_total"},
        ),
    ],
)
async def test_scrape__a_part_is_known__has_series_of_that_part_only(
    stage: conftest.Stage, usage: resource_usage.Usage, names: set[str]
) -> None:
    stage.usage.stats_by_id = {"id-web": usage}
    assert {name.partition("{")[0] for name in await series(stage)} == names


async def test_scrape__no_limits__has_a_period_and_no_quota(stage: conftest.Stage) -> None:
    stage.usage.stats_by_id = {"id-web": resource_usage.Usage()}
    free = builders.config("web")
    stage.sink.take(conftest.walked(builders.desired(free), builders.world(builders.observed(free))))
    samples = await stage.scrape()
    assert {name.partition("{")[0]: value for name, value in samples.items() if name.startswith("container_spec_")} == {
        "container_spec_cpu_period": 100_000,
        "container_spec_memory_reservation_limit_bytes": 0,
    }


async def test_scrape__machine__has_a_size_where_there_is_one(stage: conftest.Stage) -> None:
    assert not [name for name in await stage.scrape() if name.startswith("machine_")]
    stage.usage.size = machine.Machine(4, 8 << 30)
    samples = await stage.scrape()
    assert (samples["machine_cpu_cores{}"], samples["machine_memory_bytes{}"]) == (4, 8 << 30)
