"""``cp`` as people type it, over our own engine: a container that runs and one that has ended, shared by all tests."""

import io
import os
import pathlib
import stat
import subprocess
import tarfile

import pytest

from tests.e2e import command

pytestmark = pytest.mark.root
MANIFESTS = (
    command.IMAGE
    + """---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {{name: data}}
spec: {{deletionPolicy: Delete}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec:
  image: {{name: quickstart}}
  stop: {{gracePeriod: 0s}}
  command: [sleep, "600"]
  mounts:
    - {{volume: data, path: /data}}
    - {{volume: data, path: /kept, readOnly: true}}
    - {{bind: {bound}, path: /etc/bound, readOnly: true}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: job}}
spec:
  image: {{name: quickstart}}
  restart: {{policy: Never}}
  command: [sh, -c, "echo result > /result"]
"""
)


@pytest.fixture(scope="module")
def trimtab(shared_native: command.Trimtab, quickstart_image: pathlib.Path) -> command.Trimtab:
    """The command; ``web`` runs, ``job`` has ended, and no agent is there."""
    bound = shared_native.home / "bound"
    bound.write_text("the host's")
    manifests = shared_native.home / "manifests" / "all.yaml"
    manifests.write_text(MANIFESTS.format(image=quickstart_image, bound=bound))
    shared_native("apply", manifests.parent)
    assert shared_native("wait", "job").stdout == "0\n"
    return shared_native


def in_web(trimtab: command.Trimtab, script: str) -> str:
    """Run a script in the container and return what it writes."""
    completed = trimtab("exec", "web", "sh", "-c", script)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def assert_copied(trimtab: command.Trimtab, *words: object) -> None:
    """Copy, without a word said."""
    completed = trimtab("cp", *words)
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


def assert_refused(trimtab: command.Trimtab, *words: object, code: int = 1) -> str:
    """Return what a copy that is refused says."""
    completed = trimtab("cp", *words)
    assert (completed.returncode, completed.stdout) == (code, "")
    assert "bug" not in completed.stderr
    return completed.stderr


def test_cp__a_folder_in_and_out_again__is_the_same_with_the_callers_names(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "conf" / "sites").mkdir(parents=True)
    (tmp_path / "conf" / "sites" / "one").write_text("listen 80\n")
    assert_copied(trimtab, tmp_path / "conf", "web:/data")
    assert_copied(trimtab, f"{tmp_path / 'conf'}/.", "web:/data/called/")
    assert in_web(trimtab, "cat /kept/conf/sites/one /kept/called/sites/one") == "listen 80\n" * 2
    assert_copied(trimtab, "web:/data/conf", tmp_path / "back")
    assert_copied(trimtab, "web:/data/conf/sites/.", tmp_path / "back")
    assert (tmp_path / "back" / "sites" / "one").read_text() == (tmp_path / "back" / "one").read_text() == "listen 80\n"


def test_cp__archives__are_piped_from_and_to(trimtab: command.Trimtab) -> None:
    in_web(trimtab, "echo page > /page")

    def piped(*words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            trimtab.command("cp", *words), input=data, capture_output=True, env=trimtab.environment, check=False
        )

    archive = piped("web:/page", "-")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as members:
        assert members.getnames() == ["page"]
    assert piped("-", "web:/data", data=archive.stdout).returncode == 0
    assert in_web(trimtab, "cat /data/page") == "page\n"
    refused = piped("-", "web:/data", data=archive.stdout[:1024] + b"\xff" * 2000)
    assert (refused.returncode, b"no tar archive" in refused.stderr) == (1, True)


def test_cp__links_of_a_hostile_container__lead_to_nothing_of_the_host(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "secret").write_text("the host's")
    in_web(trimtab, f"busybox mkdir /trap; busybox ln -s {tmp_path} /trap/folder; busybox ln -s /trap/folder /way")
    message = assert_refused(trimtab, "web:/way/secret", tmp_path / "stolen")
    assert "there is no /way/secret in container web" in message
    assert "exec web ls -la /way shows what is there" in message
    assert_refused(trimtab, tmp_path / "secret", "web:/way/planted")
    assert_copied(trimtab, "web:/trap", tmp_path / "copy")
    assert os.readlink(tmp_path / "copy" / "folder") == str(tmp_path)  # noqa: PTH115 - text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "secret"]


def test_cp__read_only_and_made_up__stay_as_they_are(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    (tmp_path / "bound").write_text("other")
    assert "a file is mounted there" in assert_refused(trimtab, tmp_path / "bound", "web:/etc")
    assert "Read-only file system" in assert_refused(trimtab, tmp_path / "bound", "web:/kept")
    assert "a device is there" in assert_refused(trimtab, tmp_path / "bound", "web:/dev/null")
    assert in_web(trimtab, "cat /etc/bound; echo lost > /dev/null") == "the host's"


def test_cp__devices__are_left_out_with_a_note(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    completed = trimtab("cp", "web:/dev", tmp_path)
    assert (completed.returncode, completed.stderr.partition(":")[0]) == (0, "left out, for they are devices")
    kinds = {stat.S_IFMT(path.lstat().st_mode) for path in (tmp_path / "dev").rglob("*")}
    assert kinds <= {stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG}
    assert "/dev/null is a device: it is not copied" in assert_refused(trimtab, "/dev/null", "web:/data")


def test_cp__typed_wrongly__says_what_is_wrong(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    for words, code, message in (
        (("web:/etc", "web:/data"), 64, "one of both is NAME:PATH"),
        (("nobody:/etc", tmp_path), 1, "there is no container nobody"),
    ):
        assert message in assert_refused(trimtab, *words, code=code)
    script = f"{' '.join(trimtab.command('cp'))} web:/etc - >&-"
    closed = subprocess.run(["sh", "-c", script], env=trimtab.environment, capture_output=True, check=False, text=True)
    assert (closed.returncode, "standard output cannot be written" in closed.stderr) == (1, True), closed.stderr


def test_cp__one_that_does_not_run__is_written_to_only_while_no_agent_runs(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_text("x")
    with trimtab.running(trimtab.home / "manifests") as agent:
        agent.assert_ready()
        assert_copied(trimtab, "job:/result", tmp_path)
        assert_copied(trimtab, tmp_path / "file", "web:/beside-an-agent")
        message = assert_refused(trimtab, tmp_path / "file", "job:/file")
        assert "container job does not run: only the process that keeps it can write to it" in message
    assert (tmp_path / "result").read_text() == "result\n"
    assert_copied(trimtab, tmp_path / "file", "job:/file")
    assert_copied(trimtab, "job:/file", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "x"
