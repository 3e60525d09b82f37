"""An instance that is driven by the command, killed where a failpoint says, and looked at from outside afterwards."""

import pathlib
from collections.abc import Iterator

import pytest

from tests import instances


@pytest.fixture
def instance(tmp_path: pathlib.Path) -> Iterator[instances.Instance]:
    """An instance; whatever a test leaves of it is removed and then must be gone."""
    made = instances.Instance(tmp_path)
    made.declare("")
    yield made
    if made.where.records.exists():
        completed = made.run("delete")
        left = made.left_on_the_host()
        if left:  # by a test that has failed
            made.reboot()
        assert (completed.returncode, left) == (0, []), completed.stderr
