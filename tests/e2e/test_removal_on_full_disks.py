"""A full disk is freed by removing what fills it, and no command calls it a bug.

The root of each of these instances is a small file system of its own.
"""

import os
import pathlib
import signal

import pytest

from tests import full_disks
from tests.e2e import command, disks

pytestmark = pytest.mark.root


def _sleeper(native: command.Trimtab, image: pathlib.Path) -> pathlib.Path:
    """Write manifests of a container that fills the disk as far as it can, in its layer and in a volume."""
    folder = native.home / "manifests"
    script = "for f in /mine /data/file; do cat /bin/busybox /bin/busybox /bin/busybox >> $f; done; exec sleep 600"
    (folder / "all.yaml").write_text(
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: quickstart}}\n"
        f"spec: {{archive: {{path: {image}}}}}\n---\n"
        "apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: data}\nspec: {deletionPolicy: Delete}\n---\n"
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: greedy}\n"
        "spec: {image: {name: quickstart}, stop: {gracePeriod: 0s},"
        f" mounts: [{{volume: data, path: /data}}], command: [sh, -c, '{script}']}}\n"
    )
    return folder


@pytest.mark.parametrize("lack", ["bytes", "inodes"])
def test_delete__no_agent_and_not_a_byte_or_inode_is_left__removes_everything(
    native: command.Trimtab, quickstart_image: pathlib.Path, lack: str
) -> None:
    folder = _sleeper(native, quickstart_image)
    with disks.root_of(native, "48m,nr_inodes=2000") as root:
        assert native("apply", folder).returncode == 0
        assert (root / "reserve").is_dir()
        full_disks.fill(root) if lack == "bytes" else full_disks.use_inodes(root)
        deleted = native("delete", folder)
        assert (deleted.returncode, deleted.stdout) == (0, "deleted\n"), deleted.stderr
        assert "bug" not in deleted.stderr


def test_run__not_a_byte_is_left__what_is_taken_out_of_the_source_is_removed_and_frees_the_disk(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = _sleeper(native, quickstart_image)
    with disks.root_of(native, "48m") as root, native.running(folder) as agent:
        agent.runs("greedy")
        command.assert_eventually((root / "reserve").is_dir, "there is a reserve")
        full_disks.fill(root)
        text = (folder / "all.yaml").read_text()
        (folder / "all.new").write_text(text[: text.index("---")])  # the image alone is left
        (folder / "all.new").rename(folder / "all.yaml")
        agent.assert_shows('trimtab_container_state{name="greedy",state="running"}', None)
        command.assert_eventually(
            lambda: os.statvfs(root).f_bavail * os.statvfs(root).f_frsize > 8_000_000, "there is room"
        )
        assert not (root / "volumes" / "data").exists()
        assert agent.metric("trimtab_internal_errors_total") == 0


@pytest.mark.parametrize("words", [("plan",), ("observe",), ("status",), ("logs", "greedy"), ("exec", "greedy", "ls")])
def test_commands__not_a_byte_is_left_and_the_agent_was_killed__none_is_called_a_bug(
    native: command.Trimtab, quickstart_image: pathlib.Path, words: tuple[str, ...]
) -> None:
    folder = _sleeper(native, quickstart_image)
    with disks.root_of(native, "48m") as root:
        with native.running(folder) as agent:
            agent.runs("greedy")
            agent.stop(signal.SIGKILL)
        for name in ("engine", "agent"):
            (root / f"{name}.sqlite-shm").unlink()  # it has to be made even to read
        full_disks.fill(root)
        done = native(*words, *([folder] if words == ("plan",) else []))
        assert "bug" not in done.stderr
        assert done.returncode == 1
        way_out = "NotObserved" if words == ("status",) else "no room is left on the disk of"
        assert way_out in done.stdout + done.stderr, (done.stdout, done.stderr)
