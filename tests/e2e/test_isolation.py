"""Commands typed in a hostile folder, under hostile variables: nothing of either is run, by us or by what we start."""

import pathlib
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests import archives
from tests.e2e import command

pytestmark = pytest.mark.root

MODULES = (
    *("zstandard", "isal", "json", "ctypes", "resource", "signal", "dataclasses", "pathlib", "typing", "sitecustomize"),
    *("usercustomize", "yaml", "pydantic", "click", "sqlite3", "tarfile", "struct", "hashlib", "ops", "tests"),
)
STARTS_PYTHON = {"dataclasses", "pathlib", "typing", "sitecustomize", "usercustomize", "struct"}
"""What Python itself may import for ``-m`` before our first line is run: of no concern to the entry script."""
PROGRAMS = ("git", "nft", "cp", "du", "runc", "crun", "conmon", "unshare", "aardvark-dns", "busybox")
LARGE = random.Random(5).randbytes(5 * 1024 * 1024)  # noqa: S311 - the same each time; enough for a process of its own


@pytest.fixture
def poisoned(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder in which every module and program that we use lies in wait; nothing of it may have run."""
    folder, proof = tmp_path / "poisoned", tmp_path / "proof"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(proof)!r}, 'a').write('{name} ')\nraise SystemExit(66)\n")
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {proof}\nexit 66\n")
        (folder / name).chmod(0o755)
    yield folder
    assert not proof.exists(), proof.read_text()


def assert_typed_succeeds(native: command.Trimtab, folder: pathlib.Path, *words: object, **more: str) -> None:
    """Type a command in a folder, by the script that an installation makes."""
    script = pathlib.Path(sys.executable).with_name("trimtab")
    assert_succeeds([str(script), *map(str, words)], folder, {**native.environment, **more})


def assert_succeeds(words: list[str], folder: pathlib.Path, environment: Mapping[str, str]) -> None:
    completed = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.fixture
def layer(tmp_path: pathlib.Path) -> pathlib.Path:
    """A root file system that is large enough to be unpacked by a process of its own."""
    path = tmp_path / "large.tar"
    path.write_bytes(archives.tar(archives.folder("bin"), archives.file("bin/large", LARGE)))
    return path


def test_image_load__typed_in_a_poisoned_folder__runs_nothing_of_it(native, poisoned, layer, quickstart_image) -> None:
    where = {"PATH": f".::{native.environment['PATH']}"}
    assert_typed_succeeds(native, poisoned, "image", "load", quickstart_image, "--as", "one:1", **where)
    assert_typed_succeeds(native, poisoned, "image", "import", layer, "two:2", **where)
    assert_typed_succeeds(native, poisoned, "image", "rm", "one:1", "two:2", **where)


def test_apply__of_a_poisoned_folder__runs_nothing_of_it(native, poisoned, quickstart_image) -> None:
    manifests = (
        "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: box}\n"
        f"spec: {{archive: {{path: {quickstart_image}}}}}\n---\n"
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: {name: box}}\n"
    )
    (poisoned / "web.yaml").write_text(manifests)
    for verb in ("apply", "plan", "delete"):
        assert_typed_succeeds(native, poisoned, verb, ".", PATH=f".::{native.environment['PATH']}")


def test_python_m__in_a_poisoned_folder__imports_nothing_of_it(native, poisoned, layer) -> None:
    for name in STARTS_PYTHON:
        (poisoned / f"{name}.py").unlink()
    for words in (["image", "import", str(layer), "two:2"], ["image", "rm", "two:2"]):
        assert_succeeds([sys.executable, "-m", "agent", *words], poisoned, native.environment)


def test_empty_part_of_pythonpath__is_not_the_current_folder(native, poisoned, layer) -> None:
    for name in STARTS_PYTHON:
        (poisoned / f"{name}.py").unlink()
    assert_typed_succeeds(native, poisoned, "image", "import", layer, "two:2", PYTHONPATH=":/nowhere")
    assert_typed_succeeds(native, poisoned, "image", "rm", "two:2", PYTHONPATH=":/nowhere")
