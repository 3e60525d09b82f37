"""Env files, as who writes them sees it: a changed one replaces the container, a bad one leaves what runs."""

import pytest

from tests.e2e import command, engine_host

SPEC = f"{engine_host.SLEEP}, networks: none, envFile: [conf/common.env, conf/web.env], env: {{OWN: manifest}}"
MANIFEST = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: app:1, %s}\n"


def test_validate__missing_file_and_bad_line__say_where_why_and_the_way_out(trimtab: command.Trimtab) -> None:
    folder = trimtab.home / "manifests"
    (folder / "conf").mkdir(parents=True)
    (folder / "web.yaml").write_text(MANIFEST % "envFile: [conf/web.env, conf/missing.env]")
    (folder / "conf" / "web.env").write_text("A=1\nnot s3cret\n")
    validated = trimtab("validate", folder)
    assert validated.returncode == 1
    assert f"{folder}/web.yaml:4:46: error: conf/missing.env does not exist" in validated.stderr
    assert "hint: create it, or take it out of the manifest" in validated.stderr
    assert f"{folder}/conf/web.env:2:1: error: this line has no =" in validated.stderr
    assert "s3cret" not in validated.stderr
    (folder / "conf" / "missing.env").touch()
    (folder / "conf" / "web.env").write_text("A=1\n")
    assert trimtab("validate", folder).returncode == 0
    assert trimtab.output("render", folder)["containers"][0]["env"] == [["A", "1"]]


@pytest.mark.root
@pytest.mark.engine
def test_run__env_file_changes__the_container_is_replaced(engine_host) -> None:
    folder = engine_host.folder
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "common.env").write_text("A=common\nB=common\n")
    (folder / "conf" / "web.env").write_text("B=web\nOWN=file\n")
    engine_host.write(web=SPEC)
    with engine_host.trimtab.running(folder) as agent:
        agent.runs("web")
        assert_printed(engine_host.trimtab, "common web manifest")
        first = engine_host.runs()["web"][0]
        (folder / "conf" / "web.env").write_text("B=changed\n")
        command.assert_eventually(lambda: engine_host.runs().get("web", (first,))[0] != first, "it is replaced")
        command.assert_eventually(lambda: printed(engine_host.trimtab) == "common changed manifest", "the change")
        assert engine_host.trimtab("plan", folder).stdout == "Nothing to change.\n"
        second = engine_host.runs()["web"][0]
        (folder / "conf" / "web.env").unlink()
        agent.says("conf/web.env does not exist")
        assert engine_host.runs()["web"][0] == second
        (folder / "conf" / "web.env").write_text("B=changed\n")
        command.assert_eventually(lambda: agent.get("/readyz")[0] == 200, "the source is good again")
        assert engine_host.runs()["web"][0] == second


@pytest.mark.root
def test_run__native__env_file_changes__the_container_is_replaced(native: command.Trimtab, quickstart_image) -> None:
    folder = native.home / "manifests"
    (folder / "conf").mkdir()
    (folder / "conf" / "common.env").write_text("A=common\nB=common\n")
    (folder / "conf" / "web.env").write_text("B=web\nOWN=file\n")
    (folder / "all.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: quickstart}\n"
        f"spec: {{archive: {{path: {quickstart_image}}}}}\n---\n"
        + (MANIFEST % SPEC).replace("app:1", "{name: quickstart}, stop: {gracePeriod: 0s}")
    )
    with native.running(folder) as agent:
        agent.runs("web")
        assert_printed(native, "common web manifest")
        (folder / "conf" / "web.env").write_text("B=changed\n")
        command.assert_eventually(lambda: printed(native) == "common changed manifest", "the change")
        assert native("plan", folder).stdout == "Nothing to change.\n"


def printed(trimtab: command.Trimtab) -> str:
    """Return the container's variables."""
    return trimtab("exec", "web", "sh", "-c", "echo $A $B $OWN").stdout.strip()


def assert_printed(trimtab: command.Trimtab, expected: str) -> None:
    """Assert that the container comes to have these variables."""
    command.assert_eventually(lambda: printed(trimtab) == expected, f"the variables are {expected}")
