"""A full disk: what does not fit says so, what runs goes on, and once there is room nobody has to do anything.

The root of each of these instances is a small file system of its own.
"""

import os
import pathlib
import signal
import subprocess

import pytest

from tests import quickstart_image as images
from tests.e2e import bad_day, command, disks

pytestmark = pytest.mark.root

IMAGE = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: large}}
spec: {{archive: {{path: {path}}}}}
"""


@pytest.fixture
def large_image(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The quickstart's image with 16 MiB more in it."""
    monkeypatch.setattr(images, "ACCOUNTS", {**images.ACCOUNTS, "etc/ballast": bytes(range(256)) * 65536})
    images.main(tmp_path / "large.tar")
    return tmp_path / "large.tar"


def test_image__does_not_fit__says_so_and_is_loaded_when_there_is_room(
    native: command.Trimtab, quickstart_image: pathlib.Path, large_image: pathlib.Path
) -> None:
    (native.home / "manifests" / "large.yaml").write_text(IMAGE.format(path=large_image))
    with (
        disks.root_of(native, "16m") as root,
        bad_day.begun(native, quickstart_image, bad_day.SLEEP, of="{name: large}") as day,
    ):
        assert "No space left on device" in day.suffers("DiskFull", "Image/large")
        assert "Image/large is not there: DiskFull" in day.suffers("WaitingForDependency")
        subprocess.run(["mount", "-o", "remount,size=96m", root], check=True)
        day.assert_recovers("Image/large")


def test_container__ends_while_not_a_byte_is_left__is_noticed_and_comes_back(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    with disks.root_of(native, "32m") as root, bad_day.begun(native, quickstart_image, bad_day.SLEEP) as day:
        day.assert_recovers()
        before = day.pid("bad")
        with disks.full_disk(root):
            os.kill(before, signal.SIGKILL)
            day.agent.assert_shows(
                'trimtab_object_condition{kind="Container",name="bad",status="False",type="Ready"}', 1.0
            )
            assert (day.agent.metric("trimtab_journal_errors_total") or 0.0) > 0
            assert day.agent.get("/healthz") == (200, "ok\n")
        day.assert_recovers()
        assert day.pid("bad") != before


def test_container__changed_while_not_a_byte_is_left__is_told_why_not_and_changed_later(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    with disks.root_of(native, "32m") as root, bad_day.begun(native, quickstart_image, bad_day.SLEEP) as day:
        day.assert_recovers()
        before = day.pid("bad")
        with disks.full_disk(root):
            day.declare(f"{bad_day.SLEEP}, env: {{CHANGED: 'yes'}}")
            reason = 'trimtab_object_ready_reason{kind="Container",name="bad",reason="DiskFull"}'
            day.agent.assert_shows(reason, 1.0)
            assert pathlib.Path(f"/proc/{before}").exists(), "the old one runs until there is a new one"
        day.assert_recovers()
        assert native("exec", "bad", "sh", "-c", "echo $CHANGED").stdout == "yes\n"
