"""What this user may read: told apart from what is not there."""

import os
import pathlib
import subprocess
import sys

import pytest

from agent.kit import permissions

_ASK = (
    "import pathlib, sys; from agent.kit import permissions; print(permissions.is_withheld(pathlib.Path(sys.argv[1])))"
)


def test_withheld__what_may_be_read_and_what_is_not_there__are_not(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch(mode=0o600)
    for path in (tmp_path, tmp_path / "file", tmp_path / "absent", tmp_path / "file" / "below"):
        assert not permissions.is_withheld(path)


@pytest.mark.root
@pytest.mark.parametrize("name", ["", "file", "absent"])
def test_withheld__somebody_elses_directory_and_all_below__are(tmp_path: pathlib.Path, name: str) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    (folder / "file").touch(mode=0o600)
    os.chown(folder, 65534, 65534)
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-c", _ASK]
    completed = subprocess.run([*command, str(folder / name)], capture_output=True, text=True, check=True)
    assert completed.stdout == "True\n"
