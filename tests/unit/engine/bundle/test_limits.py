"""Limits in the runtime specification's words."""

import pytest

from agent.engine.bundle import limits
from agent.engine.spec import container as container_spec


@pytest.mark.parametrize(
    ("requested", "section"),
    [
        (container_spec.Limits(), {}),
        (container_spec.Limits(cpu_millis=500), {"cpu": {"quota": 50_000, "period": 100_000}}),
        (container_spec.Limits(cpu_millis=2500), {"cpu": {"quota": 250_000, "period": 100_000}}),
        (container_spec.Limits(cpu_millis=1), {"cpu": {"quota": 1000, "period": 1_000_000}}),
        (container_spec.Limits(cpu_millis=9), {"cpu": {"quota": 9000, "period": 1_000_000}}),
        (container_spec.Limits(cpu_millis=10), {"cpu": {"quota": 1000, "period": 100_000}}),
        (container_spec.Limits(memory=4096), {"memory": {"limit": 4096, "swap": 4096}}),
        (container_spec.Limits(memory_reservation=4096), {"memory": {"reservation": 4096}}),
        (container_spec.Limits(pids=10), {"pids": {"limit": 10}}),
        (
            container_spec.Limits(1000, 8192, 4096, 5),
            {
                "cpu": {"quota": 100_000, "period": 100_000},
                "memory": {"limit": 8192, "swap": 8192, "reservation": 4096},
                "pids": {"limit": 5},
            },
        ),
    ],
)
def test_resources__say_what_is_limited_and_nothing_else(
    requested: container_spec.Limits, section: dict[str, object]
) -> None:
    assert limits.resources(requested) == section
