"""CPU limits as a quota in a period."""

import pytest

from agent.oci import cpu


@pytest.mark.parametrize(
    ("millis", "quota", "period"),
    [
        (500, 50_000, 100_000),
        (10, 1_000, 100_000),
        (9, 9_000, 1_000_000),
        (1, 1_000, 1_000_000),
        (8000, 800_000, 100_000),
    ],
)
def test_bandwidth__is_never_less_than_the_kernel_takes__and_comes_back(millis: int, quota: int, period: int) -> None:
    assert cpu.bandwidth(millis) == (quota, period)
    assert cpu.millis(quota, period) == millis
