"""Commands of the benchmarks: what they print, and why they fail."""

import os
import sys

import pytest

from tests.benchmarks import workload


def test_run__returns_what_the_command_prints() -> None:
    command = [sys.executable, "-c", "import os; print(os.environ['WORD'])"]
    assert workload.run(command, {**os.environ, "WORD": "hello"}) == "hello\n"


def test_run__a_command_fails__its_own_complaint_is_told() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no daemon')"]
    with pytest.raises(RuntimeError, match="ended with 1: no daemon"):
        workload.run(command)
