"""What counts as the end of a removal in the benchmarks: nothing of the containers is left anywhere."""

import pathlib

import pytest

from tests.benchmarks import removal, trimtab_agent

pytestmark = pytest.mark.root


def test_removal__of_running_containers__ends_when_nothing_of_them_is_left(tmp_path: pathlib.Path) -> None:
    with trimtab_agent.Side(tmp_path).turn() as agent:
        agent.up(2)
        remains = list(removal.remains(agent))
        for kind in ("2 records", f"{agent.run}/netns/", f"{agent.root}/containers/", "veth ", "cgroup "):
            assert [name for name in remains if name.startswith(kind)], kind
        assert sum(name.startswith("monitor ") for name in remains) == 2
        measured = removal.measure(agent)
        assert list(removal.remains(agent)) == []
        assert agent.networks() == 1
    assert 0 < measured.work < measured.seconds - 1
