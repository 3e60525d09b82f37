"""``make install`` and ``make uninstall``, below a folder: what the unit needs is there, and goes again."""

import os
import pathlib
import re
import subprocess

import pytest

from agent import __version__
from tests.integration import wheels

UNIT = wheels.REPOSITORY / "ops" / "systemd" / "trimtab.service"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


def _make(target: str, host: pathlib.Path, wheel: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run make as a packager does; what the program imports is not fetched."""
    return subprocess.run(
        ["make", "--no-print-directory", target, f"DESTDIR={host}", f"WHEEL={wheel}"],
        cwd=wheels.REPOSITORY,
        env=os.environ | {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def _assert_installed(host: pathlib.Path) -> None:
    program = re.search(r"^ExecStart=(\S+)", UNIT.read_text(), re.MULTILINE)
    assert program is not None
    link = host / program[1].lstrip("/")
    assert str(link.readlink()) == "/opt/trimtab/bin/trimtab"
    assert (host / "opt/trimtab/bin/trimtab").read_text().startswith("#!/opt/trimtab/bin/python")
    assert (host / "etc/systemd/system/trimtab.service").read_bytes() == UNIT.read_bytes()
    assert (host / "etc/trimtab/manifests").is_dir()
    assert (host / "opt/trimtab/share/trimtab/schemas/all.schema.json").is_file()
    assert (host / "opt/trimtab/share/trimtab/prometheus/trimtab.rules.yml").is_file()


def test_install__twice_then_uninstall_twice__leaves_what_was_declared(
    tmp_path: pathlib.Path, wheel: pathlib.Path
) -> None:
    for _ in range(2):
        completed = _make("install", tmp_path, wheel)
        assert completed.returncode == 0, completed.stderr
        _assert_installed(tmp_path)
    version = [tmp_path / "opt/trimtab/bin/python", "-I", "-c", "import agent; print(agent.__version__)"]
    assert subprocess.run(version, capture_output=True, text=True, check=True).stdout == f"{__version__}\n"
    (tmp_path / "etc/trimtab/manifests/web.yaml").touch()
    for _ in range(2):
        completed = _make("uninstall", tmp_path, wheel)
        assert completed.returncode == 0, completed.stderr
        files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())
        assert files == ["etc/trimtab/manifests/web.yaml"]


def test_install__another_command_of_that_name__is_not_replaced(tmp_path: pathlib.Path, wheel: pathlib.Path) -> None:
    command = tmp_path / "usr/bin/trimtab"
    command.parent.mkdir(parents=True)
    command.write_text("another package's")
    completed = _make("install", tmp_path, wheel)
    assert completed.returncode != 0
    assert "somebody else has put it there" in completed.stderr
    assert _make("uninstall", tmp_path, wheel).returncode == 0
    assert command.read_text() == "another package's"
    assert not (tmp_path / "opt").exists()
