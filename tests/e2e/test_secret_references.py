"""Values of Secrets in a container's environment, planted, and looked for wherever the agent writes or prints."""

import json
import pathlib
import stat
import subprocess
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.e2e import command, engine_host

pytestmark = pytest.mark.root

FIRST, SECOND = "pl4nted-f1rst", "pl4nted-sec0nd"
REFERENCE = "env: {PASSWORD: {secret: db, key: password}}, networks: none"
SECRET = "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{password: {value}}}\n"


def write(folder: pathlib.Path, image: pathlib.Path) -> None:
    """Write manifests: the image, a container, and the Secret that it refers to."""
    (folder / "image.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: quickstart}\n"
        f"spec: {{archive: {{path: {image}}}}}\n"
    )
    (folder / "web.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\n"
        f"spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 0s}}, {engine_host.SLEEP}, {REFERENCE}}}\n"
    )
    (folder / "db.yaml").write_text(SECRET.format(value=FIRST))


def holders(*folders: pathlib.Path) -> set[str]:
    """Return the files below folders that have one of the values, by their paths from there."""
    return {
        str(path.relative_to(folder))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and _holds(path)
    }


def _holds(path: pathlib.Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:  # it has gone meanwhile
        return False
    return any(value.encode() in data for value in (FIRST, SECOND))


def looks(trimtab: command.Trimtab, folder: pathlib.Path) -> Iterator[subprocess.CompletedProcess[str]]:
    """Ask the command for all that it tells."""
    for words in (
        *(("render", folder), ("render", folder, "-o", "json"), ("validate", folder), ("plan", folder)),
        *(("plan", folder, "-o", "json"), ("status",), ("status", "-o", "json"), ("observe", "--json")),
        *(("describe", "Container/web"), ("events",), ("history",), ("logs", "web")),
    ):
        yield trimtab(*words)


def printed(trimtab: command.Trimtab) -> str:
    """Return the value that a program in the container has."""
    return trimtab("exec", "web", "sh", "-c", "echo $PASSWORD").stdout.strip()


def assert_kept_to_itself(texts: list[str]) -> None:
    """Assert that no text has a value, in one of the spellings that it may have."""
    spellings = {
        spelling
        for value in (FIRST, SECOND)
        for spelling in (value, urllib.parse.quote(value), json.dumps(value)[1:-1])
    }
    assert [text for text in texts if any(spelling in text for spelling in spellings)] == []


def test_native__planted_value__is_in_the_process_and_its_bundle_only(
    native: command.Trimtab, quickstart_image
) -> None:
    folder, instance = native.home / "manifests", native.instance
    write(folder, quickstart_image)
    with native.running(folder) as agent:
        agent.runs("web")
        assert printed(native) == FIRST
        key = instance.where.root / "secrets.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert holders(instance.where.root) == set()
        own = {path.split("/")[0] for path in holders(instance.where.run)}
        assert own <= {"bundles", "runtime"}  # ours, and the OCI runtime's copy of it: gone with the container
        said = list(looks(native, folder))
        assert said[3].stdout == "Nothing to change.\n"
        before = native.objects()["Container/web"]
        (folder / "db.yaml").write_text(SECRET.format(value=SECOND))
        command.assert_eventually(lambda: printed(native) == SECOND, "the rotated value")
        assert before["Ready"]["status"] == "True"
        said += [*looks(native, folder), native("plan", folder)]
        assert said[-1].stdout == "Nothing to change.\n"
        metrics = agent.get("/metrics")[1]
        assert holders(instance.where.root) == set()
        (folder / "web.yaml").unlink()
        command.assert_eventually(lambda: "Container/web" not in native.objects(), "the container is gone")
        assert holders(instance.where.root, instance.where.run) == set()
    assert_kept_to_itself([agent.log, metrics, *(process.stdout + process.stderr for process in said)])


def test_native__agent_is_away_and_its_source_too__what_runs_goes_on_and_a_start_waits(
    native: command.Trimtab, quickstart_image
) -> None:
    folder = native.home / "manifests"
    write(folder, quickstart_image)
    assert native("apply", folder).returncode == 0
    away = native.home / "away"
    folder.rename(away)
    with native.running(folder) as agent:
        agent.says("cannot be read")
        assert printed(native) == FIRST
        native("exec", "web", "kill", "-9", "1")
        (container,) = native.output("observe")["observed"]["containers"]
        subprocess.run(["kill", "-9", str(container["pid"])], check=False)
        command.assert_eventually(
            lambda: native.objects()["Container/web"]["Ready"]["reason"] == "SecretUnavailable", "it waits"
        )
        away.rename(folder)
        command.assert_eventually(lambda: printed(native) == FIRST, "it is started once the source is read")


@pytest.mark.engine
def test_engine__planted_value__is_in_no_label_note_or_word_of_ours(engine_host) -> None:
    folder, trimtab = engine_host.folder, engine_host.trimtab
    engine_host.drop("db", SECRET.format(value=FIRST))
    engine_host.write(web=f"command: [sleep, '600'], {REFERENCE}")
    with trimtab.running(folder) as agent:
        agent.runs("web")
        assert printed(trimtab) == FIRST
        said = list(looks(trimtab, folder))
        assert said[3].stdout == "Nothing to change.\n"
        labels = json.dumps(engine_host.container("web")["Config"]["Labels"])
        engine_host.drop("db", SECRET.format(value=SECOND))
        command.assert_eventually(lambda: printed(trimtab) == SECOND, "the rotated value")
        said += list(looks(trimtab, folder))
        assert holders(trimtab.instance.where.root, trimtab.instance.where.run) == set()
    assert_kept_to_itself([agent.log, labels, *(process.stdout + process.stderr for process in said)])
