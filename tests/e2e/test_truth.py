"""What the command says is so: an apply that did not succeed says so, and a service's umask changes nothing."""

import pathlib
import subprocess

import pytest

from tests import instances
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
spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 0s}}, {spec}}}
"""
)


def _declare(native: command.Trimtab, image: pathlib.Path, spec: str) -> pathlib.Path:
    folder = native.home / "manifests"
    (folder / "all.yaml").write_text(MANIFESTS.format(image=image, spec=spec))
    return folder


def test_apply__program_exits_with_3__is_not_applied_and_says_why(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = _declare(native, quickstart_image, "command: [sh, -c, 'exit 3']")
    applied = native("apply", folder)
    assert applied.returncode == 1
    assert applied.stdout.startswith("not applied: 1 of 4 objects")
    assert "Container/web" in applied.stderr
    assert "exited with 3" in applied.stderr


def test_run__under_a_strict_umask__programs_of_other_users_reach_root_mounts_and_volumes(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    """As a service's own umask may be."""
    spec = (
        "command: [sleep, '600'], security: {user: '1000'}, mounts: [{volume: data, path: /srv/data},"
        " {tmpfs: 1Mi, path: /scratch}]"
    )
    folder = _declare(native, quickstart_image, spec)
    applied = subprocess.run(
        native.command("apply", folder),
        env=native.environment,
        cwd=instances.REPOSITORY,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert applied.returncode == 0, applied.stderr
    listed = native("exec", "web", "sh", "-c", "ls -ld / /srv /srv/data /bin/busybox && touch /scratch/mine && id -u")
    assert (listed.returncode, listed.stdout.splitlines()[-1]) == (0, "1000"), listed.stderr
    assert native("exec", "web", "ls", "/srv/data").returncode == 0


def test_records__hold_environments__are_closed_to_everybody_else(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = _declare(native, quickstart_image, "command: [sleep, '600'], env: {TOKEN: s3cr3t}")
    assert native("apply", folder).returncode == 0
    holding = [
        path
        for path in (native.home / "root").rglob("*")
        if path.is_file() and not path.is_symlink() and b"s3cr3t" in path.read_bytes()
    ]
    assert {path.stem for path in holding} >= {"engine", "agent"}
    assert [path for path in holding if path.stat().st_mode & 0o077] == []
