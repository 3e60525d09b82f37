"""``trimtab system`` and a disk that fills, as who runs a host sees them."""

import pathlib
import random
import subprocess
from collections.abc import Iterator

import pytest

from tests import archives
from tests.e2e import command

pytestmark = pytest.mark.root

ONE, TWO = "docker.io/library/one:1", "docker.io/library/two:2"
DECLARED = """
apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: web}}
spec: {{archive: {{path: {image}}}}}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {{name: data}}
spec: {{deletionPolicy: Delete}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec:
  image: {{name: web}}
  command: [sh, -c, 'dd if=/dev/zero of=/data/file bs=1M count=3; exec sleep 1000']
  networks: none
  mounts: [{{volume: data, path: /data}}]
  stop: {{gracePeriod: 0s}}
"""
FULL = {"TRIMTAB_GARBAGE_HIGH": "10", "TRIMTAB_GARBAGE_LOW": "1", "TRIMTAB_GARBAGE_MINIMUM_AGE": "1ms"}
SIZE = 32 * 2**20
"""Bytes of a small disk: the images in the tests here take more than a tenth of it."""


@pytest.fixture
def small_disk(native: command.Trimtab) -> Iterator[None]:
    """Mount a disk of its own at the root."""
    root = native.home / "root"
    root.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", root], check=True)
    try:
        yield
    finally:
        native("delete", native.home / "manifests")  # what runs would hold the disk
        subprocess.run(["umount", root], check=True)


def done(completed: subprocess.CompletedProcess[str]) -> str:
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def by_hand(native: command.Trimtab, *names: str) -> None:
    """Load an image of a megabyte under some names, which no manifest declares."""
    root = native.home / "root.tar"
    root.write_bytes(archives.tar(archives.file("data", random.Random(1).randbytes(1_000_000))))  # noqa: S311 - the same
    done(native("image", "import", root, names[0]))
    for name in names[1:]:
        done(native("image", "tag", names[0], name))


def declared(native: command.Trimtab, image: pathlib.Path) -> pathlib.Path:
    folder = native.home / "manifests"
    (folder / "web.yaml").write_text(DECLARED.format(image=image))
    return folder


def listed(native: command.Trimtab) -> list[str]:
    return [entry["reference"] for entry in native.output("image", "ls")]


def test_system__beside_an_agent__tells_what_takes_room_and_gives_back_what_nobody_declares(
    native, busybox_archive
) -> None:
    folder = declared(native, busybox_archive)
    by_hand(native, ONE, TWO)
    with native.running(folder) as agent:
        agent.runs("web")
        command.assert_eventually(
            lambda: native.output("system", "df")["shares"][2]["size"] > 3 * 2**20, "the written file"
        )
        usage = native.output("system", "df")
        assert [(entry["sort"], entry["count"], entry["active"]) for entry in usage["shares"]] == [
            ("images", 2, 1),
            ("containers", 1, 1),
            ("volumes", 1, 1),
        ]
        assert usage["prunable"] == [ONE, TWO]
        assert 0 < usage["space"]["available"] < usage["space"]["size"]
        reclaimable = usage["shares"][0]["reclaimable"]
        assert 1_000_000 < reclaimable < usage["shares"][0]["size"]
        text = native("system", "df")
        heading, images, *_ = done(text).splitlines()
        assert heading.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
        assert images.split()[:3] == ["images", "2", "1"]
        assert f"the disk of {native.home / 'root'}: " in text.stderr
        assert "from 85 % on images go that nobody uses" in text.stderr
        assert native.output("system", "prune", "--dry-run") == {
            "removed": [ONE, TWO],
            "reclaimed": reclaimable,
            "dryRun": True,
        }
        pruned = native("system", "prune")
        assert (done(pruned).split(), pruned.stderr.strip().endswith("MiB reclaimed")) == ([ONE, TWO], True)
        assert native.output("system", "prune")["removed"] == []
        (kept,) = listed(native)
        assert agent.metric('trimtab_container_state{name="web",state="running"}') == 1
        assert native.output("image", "ls")[0]["object"] == "Image/web", kept
    done(native("delete", folder))
    assert native.output("system", "df")["shares"][0]["size"] < 100_000


@pytest.mark.usefixtures("small_disk")
def test_agent__its_disk_is_fuller_than_wanted__unused_images_go_and_what_is_declared_stays(
    native, busybox_archive
) -> None:
    folder = declared(native, busybox_archive)
    by_hand(native, ONE)
    with native.running(folder, environment=FULL) as agent:
        agent.runs("web")
        agent.assert_shows("trimtab_images_collected_total", 1.0)
        assert f"{ONE}: removed (the disk is filling, and nobody used it)" in agent.log
        assert len(listed(native)) == 1
        available = agent.metric("trimtab_disk_available_bytes")
        assert agent.metric("trimtab_disk_size_bytes") == SIZE
        assert available is not None
        assert 0 < available < SIZE
    done(native("delete", folder))


@pytest.mark.parametrize("words", [("df",), ("prune",), ("prune", "--dry-run")])
def test_system__nothing_was_ever_here__makes_nothing(trimtab, words: tuple[str, ...]) -> None:
    for runtime in ("native", "memory"):
        root = trimtab.home / runtime
        done(trimtab("--root", root, "--runtime", runtime, "system", *words))
        assert not (root / "engine.sqlite").exists()
