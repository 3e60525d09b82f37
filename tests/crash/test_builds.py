"""A build killed by SIGKILL at every failpoint that it passes: nothing is left behind, and the next build is right."""

import pathlib
import subprocess

import pytest

from agent.kit import failpoint
from tests import instances
from tests.crash import warm  # noqa: F401 - it imports all that registers failpoints

KILLED = -9
DOCKERFILE = """
FROM {image} AS one
RUN --mount=type=cache,target=/cache echo one > /one
FROM {image}
COPY --from=one /one /copied
COPY file /file
RUN cat /copied /file > /both
"""


@pytest.fixture
def context(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "file").write_text("two\n")
    (folder / "Dockerfile").write_text(DOCKERFILE.format(image="localhost/base:1"))
    return folder


def run(instance: instances.Instance, *words: str, failpoints: str = "") -> "subprocess.CompletedProcess[str]":
    environment = instances.environment(failpoints)
    command = instance.command(*words)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def build(
    instance: instances.Instance, context: pathlib.Path, failpoints: str = ""
) -> "subprocess.CompletedProcess[str]":
    return run(instance, "build", "--tag", "localhost/app:1", str(context), failpoints=failpoints)


@pytest.mark.root
@pytest.mark.parametrize("hit", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name in failpoint.registered() if name.startswith("build.")])
def test_killed_at__leaves_nothing_and_the_next_build_is_right(
    name: str, hit: int, instance: instances.Instance, context: pathlib.Path, busybox_archive: pathlib.Path
) -> None:
    loaded = run(instance, "image", "load", "--as", "localhost/base:1", str(busybox_archive))
    assert loaded.returncode == 0, loaded.stderr
    killed = build(instance, context, f"{name}=kill@{hit}")
    assert killed.returncode == (KILLED if hit <= HITS[name] else 0), killed.stderr
    built = build(instance, context)
    assert built.returncode == 0, built.stderr
    again = build(instance, context)
    assert (again.stdout, again.stderr.count("DONE")) == (built.stdout, 0)
    assert [line for line in instance.left_on_the_host() if not line.startswith(("record", "file"))] == []
    for words in (("image", "rm", "localhost/app:1", "localhost/base:1"), ("system", "prune")):
        removed = run(instance, *words)
        assert removed.returncode == 0, removed.stderr
    assert instance.left_on_the_host() == []


HITS = {"build.packed": 4, "build.kept": 4, "build.running": 2, "build.ran": 2}
"""How often a build passes each."""


def test_failpoints_of_builds__are_those_that_are_tried() -> None:
    assert {name for name in failpoint.registered() if name.startswith("build.")} == HITS.keys()
