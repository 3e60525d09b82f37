"""An instance that is driven by the command, killed where a failpoint says, and looked at from outside afterwards."""

import pathlib
from collections.abc import Iterator

import pytest

from tests import instances
from tests.crash import warm


@pytest.fixture(scope="session")
def agent() -> Iterator[warm.Warm]:
    """Run commands in forks, so that none takes its time for importing."""
    with warm.Warm() as running:
        yield running


@pytest.fixture
def instance(tmp_path: pathlib.Path) -> Iterator[instances.Instance]:
    """An instance; whatever a test leaves of it is removed and then must be gone."""
    started = instances.Instance(tmp_path)
    started.declare("")
    yield started
    if started.where.records.exists():
        completed = started.run("delete")
        leftovers = started.left_on_the_host()
        if leftovers:  # by a test that has failed
            started.reboot()
        assert (completed.returncode, leftovers) == (0, []), completed.stderr
