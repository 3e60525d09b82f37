"""A replacement killed at every hit of every failpoint that it passes, so between Stop and Start as well."""

import collections
import pathlib

import pytest

from tests import hostports, instances
from tests.crash import warm
from tests.crash.test_failpoints import CONVERGED, KILLED, SERVE, SERVE_LOUDLY, UP

PARTS = 4
"""The hits are shared out, so that several tests run beside each other and none takes minutes."""


@pytest.mark.root
@pytest.mark.parametrize("part", range(PARTS))
def test_replacement__killed_at_any_hit_of_any_failpoint__the_next_run_ends_it_and_nothing_is_left(
    part: int, agent: warm.Warm, instance: instances.Instance, busybox_archive: pathlib.Path
) -> None:
    base = {"archive": busybox_archive, "port": hostports.free_port()}
    states = [
        UP.format(**base, args=SERVE, networks="[shop]", memory="64Mi"),
        UP.format(**base, args=SERVE_LOUDLY, networks="[shop, back]", memory="32Mi"),
    ]
    instance.declare(states[0])
    assert agent.run(instance, "apply").returncode == CONVERGED
    hits: dict[int, collections.Counter[str]] = {}
    for other in (1, 0):
        instance.declare(states[other])
        hits[other] = collections.Counter(agent.run(instance, "apply").hits)
    kills = sorted((name, number) for name, count in (hits[0] | hits[1]).items() for number in range(1, count + 1))
    assert {"converge.perform", "containers.stop", "containers.start"} <= {name for name, _ in kills}
    assert max(number for name, number in kills if name == "converge.performed") > 1
    current = 0
    for name, number in kills[part::PARTS]:
        if hits[1 - current][name] < number:  # it is only passed on the way back
            current = 1 - current
            instance.declare(states[current])
            assert agent.run(instance, "apply").returncode == CONVERGED
        current = 1 - current
        instance.declare(states[current])
        killed = agent.run(instance, "apply", (name, number))
        assert killed.returncode == KILLED, (name, number, killed.output)
        for command in ("apply", "plan"):
            completed = agent.run(instance, command)
            assert completed.returncode == CONVERGED, (name, number, command, completed.output)
    assert agent.run(instance, "delete").returncode == CONVERGED
    assert instance.left_on_the_host() == []
