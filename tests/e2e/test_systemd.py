"""The unit file as systemd itself understands it."""

import pathlib
import shutil
import subprocess

import pytest

from tests import instances

UNIT = instances.REPOSITORY / "ops" / "systemd" / "trimtab.service"


def _verified(path: pathlib.Path, text: str) -> tuple[int, str]:
    path.write_text(text.replace("/usr/bin/trimtab", "/bin/true"))  # it need not be installed
    completed = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False, timeout=15
    )
    return completed.returncode, completed.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="a machine without systemd has no verifier")
def test_unit__verified_by_systemd__has_nothing_that_it_does_not_know(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trimtab.service"
    assert _verified(path, UNIT.read_text()) == (0, "")
    assert "Unknown key" in _verified(path, UNIT.read_text().replace("WatchdogSec=", "WatchdogSecs="))[1]
