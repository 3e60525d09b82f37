"""Files of plans: whose they are, what is taken for one, and how what is none is refused."""

import json
import os
import pathlib
import stat

import pytest

from agent.cli import plan_files
from agent.kit import state_format
from agent.plan import planner, saved
from tests import builders


def a_plan() -> saved.SavedPlan:
    """Return a plan that creates ``web``."""
    desired, observed = builders.desired(builders.config()), builders.world()
    computed = planner.compute_plan(desired, observed, builders.rules())
    return saved.of(saved.Origin("0.1.0", "/srv", builders.OWNER, "memory", 1.0), "salt", desired, observed, computed)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file of a plan."""
    path = tmp_path / "web.plan"
    plan_files.write(path, a_plan())
    return path


def test_write__is_its_owner_s_alone_and_read_back(file: pathlib.Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert plan_files.is_plan(file)
    assert plan_files.load(file) == a_plan()


def test_write__over_another_plan__replaces_it(file: pathlib.Path) -> None:
    file.chmod(0o644)
    plan_files.write(file, a_plan())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_write__over_something_else__is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("kind: Container\n")
    with pytest.raises(plan_files.BadPlanFile, match="is there already, and is no plan"):
        plan_files.write(path, a_plan())
    assert path.read_text() == "kind: Container\n"


def test_write__into_no_folder__says_why(tmp_path: pathlib.Path) -> None:
    with pytest.raises(plan_files.BadPlanFile, match="cannot be written: no such file or directory"):
        plan_files.write(tmp_path / "none" / "web.plan", a_plan())


@pytest.mark.parametrize(
    "text", ["", "{}", "kind: Container\n", '{"apiVersion": "trimtab.dev/v1"}', '{"trimtab.dev/pla']
)
def test_is_plan__other_files__are_none(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert not plan_files.is_plan(path)


def test_is_plan__what_is_no_file__is_none(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    paths = [
        tmp_path,
        tmp_path / "missing",
        tmp_path / "pipe",
        pathlib.Path("git+https://example/x"),
        pathlib.Path("a\0"),
    ]
    assert [path for path in paths if plan_files.is_plan(path)] == []


@pytest.mark.parametrize("end", [b"", b"1", b"1}", b"\xff\xfe", b"1," + b"[" * 100_000])
def test_load__garbled__is_refused_with_the_way_out(file: pathlib.Path, end: bytes) -> None:
    file.write_bytes(saved.MAGIC + end)
    with pytest.raises(plan_files.BadPlanFile, match="is damaged") as caught:
        plan_files.load(file)
    assert caught.value.hint == "make it again: trimtab plan SOURCE -o FILE"


def test_load__of_a_newer_release__is_refused_with_the_way_out(file: pathlib.Path) -> None:
    file.write_text(json.dumps({"trimtab.dev/plan": 7}, separators=(",", ":")))
    with pytest.raises(state_format.NewerState, match="is a plan of a newer trimtab: it has format 7") as caught:
        plan_files.load(file)
    assert caught.value.hint.startswith("upgrade trimtab, or make it again: trimtab plan SOURCE")


def test_load__others_may_write_to_it__is_refused(file: pathlib.Path) -> None:
    file.chmod(0o620)
    with pytest.raises(plan_files.BadPlanFile, match="others may have written to"):
        plan_files.load(file)


def test_load__larger_than_any_plan__is_refused_unread(file: pathlib.Path) -> None:
    with file.open("ab") as grown:
        grown.truncate(65 << 20)
    with pytest.raises(plan_files.BadPlanFile, match="is larger than 64 MiB"):
        plan_files.load(file)


def test_source__with_a_password__is_not_kept() -> None:
    with pytest.raises(plan_files.BadPlanFile, match="holds no password"):
        plan_files.check_source("git+https://me:pw@example/x", "git+https://example/x")
