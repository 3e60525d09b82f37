"""validate, render, plan and observe: what only looks."""

import json
import pathlib
import subprocess

import yaml

from tests.e2e import command


def test_validate__good_manifests__says_so(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    completed = trimtab("validate", shop)
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, f"{shop}: 4 objects, no problems\n", "")


def test_validate__several_mistakes__are_all_told_with_their_places(
    trimtab: command.Trimtab, testdata: pathlib.Path
) -> None:
    completed = trimtab("validate", testdata)
    assert (completed.returncode, completed.stdout) == (1, "")
    lines = completed.stderr.splitlines()
    assert f"{testdata}/broken.yaml:4:5: error:" in completed.stderr
    position = next(number for number, line in enumerate(lines) if line.startswith(f"{testdata}/web.yaml:5:3: error:"))
    assert "imgae" in lines[position]
    assert lines[position + 1 : position + 3] == ["    5 |   imgae: nginx", "      |   ^"]
    assert "image" in lines[position + 3]


def test_validate__as_json__gives_places_as_numbers(trimtab: command.Trimtab, testdata: pathlib.Path) -> None:
    bad = testdata.parent / "test_validate__several_mistakes__are_all_told_with_their_places"
    problems = trimtab.output("validate", bad)["problems"]
    assert {(pathlib.Path(problem["path"]).name, problem["line"]) for problem in problems} >= {
        ("web.yaml", 5),
        ("broken.yaml", 4),
    }
    assert all({"path", "line", "column", "message", "hint"} == set(problem) for problem in problems)


def test_validate__hostile_files__each_gives_a_place_and_a_way_out(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "binary.yaml").write_bytes(bytes(range(256)))
    (folder / "nul.yaml").write_bytes(b"kind: \0\n")
    (folder / "latin.yaml").write_bytes(b"kind: caf\xe9\n")
    (folder / "bomb.yaml").write_text(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    )
    with (folder / "large.yaml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    (folder / "dangling.yaml").symlink_to("nowhere")
    completed = trimtab("validate", folder)
    assert completed.returncode == 1
    assert "Traceback" not in completed.stderr
    for name in ("binary", "nul", "latin", "bomb", "large", "dangling"):
        assert f"{folder}/{name}.yaml:1:" in completed.stderr or f"{folder}/{name}.yaml:" in completed.stderr, name


def test_render__text_and_json__say_the_same_with_every_default(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    as_json = trimtab.output("render", shop)
    assert yaml.safe_load(trimtab("render", shop).stdout) == as_json
    (database, web) = as_json["containers"]
    assert (database["name"], web["restart"]["policy"], web["stop"]["grace_period"]) == ("db", "Always", 10.0)


def test_render__yaml__is_applied_again_and_changes_nothing(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    manifests = trimtab("render", shop, "--output", "yaml").stdout
    copy = tmp_path / "rendered.yaml"
    copy.write_text(manifests)
    rendered, declared = trimtab.output("render", copy), trimtab.output("render", shop)
    assert {**rendered, "revision": None} == {**declared, "revision": None}
    assert trimtab("render", copy, "--output", "yaml").stdout == manifests


def test_render__bad_manifests__prints_problems_and_no_result(trimtab: command.Trimtab, testdata: pathlib.Path) -> None:
    bad = testdata.parent / "test_validate__several_mistakes__are_all_told_with_their_places"
    completed = trimtab("render", bad)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "web.yaml:5:3: error:" in completed.stderr
    assert "nothing was changed" in completed.stderr


def test_plan__nothing_there_yet__prints_what_would_be_done_and_exits_with_2(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    completed = trimtab("plan", shop)
    assert (completed.returncode, completed.stderr) == (2, "")
    assert "  + Container/web is created\n      because Missing:" in completed.stdout
    assert completed.stdout.endswith("Plan: 6 to create, 0 to change, 0 to replace, 0 to remove.\n")
    assert "\033" not in completed.stdout


def test_plan__explain__shows_steps_and_their_order(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    text = trimtab("plan", "--explain", shop).stdout
    assert "StartContainer after" in text


def test_plan__an_empty_source__has_nothing_to_do(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").mkdir()
    completed = trimtab("plan", tmp_path / "empty")
    assert (completed.returncode, completed.stdout) == (0, "Nothing to change.\n")


def test_observe__replayed_elsewhere__gives_the_same_plan(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    observed = trimtab("observe", "--json")
    assert observed.returncode == 0
    (tmp_path / "observed.json").write_text(observed.stdout)
    here = trimtab.output("plan", shop)
    elsewhere = trimtab.output("--root", tmp_path / "elsewhere", "plan", "--observed", tmp_path / "observed.json", shop)
    assert {step["object"] for step in elsewhere["steps"]} == {step["object"] for step in here["steps"]}
    assert elsewhere["steps"] == here["steps"]


def test_plan__observed_is_no_observation__is_refused(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "observed.json"
    for text in ("", "[]", "{}", json.dumps({"version": 1, "observed": {}}), "[" * 100_000, "\0"):
        path.write_text(text)
        completed = trimtab("plan", "--observed", path, shop)
        assert (completed.returncode, completed.stdout) == (1, "")
        assert "is not an observation" in completed.stderr
        assert "observe --json > FILE makes one" in completed.stderr
    path.unlink()
    assert "cannot be read" in trimtab("plan", "--observed", path, shop).stderr


def test_delete__a_git_source__leaves_nothing_of_the_repository(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "1"]):
        subprocess.run(["git", "-C", shop, *identity, *arguments], check=True, capture_output=True)
    assert trimtab("apply", f"git+file://{shop}#main").returncode == 0
    kept = trimtab.home / "root" / "sources"
    assert list(kept.iterdir())
    assert trimtab("delete", f"git+file://{shop}#main").returncode == 0
    assert list(kept.iterdir()) == []
    refused = trimtab("validate", "git+git://127.0.0.1/fleet")
    assert refused.returncode == 64
    assert "allowInsecureTransports" in refused.stderr


def test_run__a_password_in_the_source__is_shown_nowhere(trimtab: command.Trimtab) -> None:
    with trimtab.running("git+https://me:s3cret-word@127.0.0.1:1/fleet#main") as agent:
        agent.says("cannot be read")
        shown = pathlib.Path(f"/proc/{agent.pid}/cmdline").read_text()
        answers = [trimtab("status").stdout, agent.get("/metrics")[1], agent.get("/readyz")[1]]
    assert "127.0.0.1:1/fleet" in shown
    kept = [path for path in trimtab.home.rglob("*") if path.is_file()]
    texts = [shown, agent.log, *answers, *(path.read_text(errors="replace") for path in kept)]
    assert not any("s3cret-word" in text for text in texts)
