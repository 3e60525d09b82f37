"""Limits in the runtime specification's words."""

import pytest

from agent.engine.bundle import limits
from agent.engine.containers import spec


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (spec.Limits(), {}),
        (spec.Limits(cpu_millis=500), {"cpu": {"quota": 50_000, "period": 100_000}}),
        (spec.Limits(cpu_millis=2500), {"cpu": {"quota": 250_000, "period": 100_000}}),
        (spec.Limits(cpu_millis=1), {"cpu": {"quota": 1000, "period": 1_000_000}}),
        (spec.Limits(cpu_millis=9), {"cpu": {"quota": 9000, "period": 1_000_000}}),
        (spec.Limits(cpu_millis=10), {"cpu": {"quota": 1000, "period": 100_000}}),
        (spec.Limits(memory=4096), {"memory": {"limit": 4096, "swap": 4096}}),
        (spec.Limits(memory_reservation=4096), {"memory": {"reservation": 4096}}),
        (spec.Limits(pids=10), {"pids": {"limit": 10}}),
        (
            spec.Limits(1000, 8192, 4096, 5),
            {
                "cpu": {"quota": 100_000, "period": 100_000},
                "memory": {"limit": 8192, "swap": 8192, "reservation": 4096},
                "pids": {"limit": 5},
            },
        ),
    ],
)
def test_resources__say_what_is_limited_and_nothing_else(wanted: spec.Limits, told: dict[str, object]) -> None:
    assert limits.resources(wanted) == told
