"""``plan -o FILE`` and ``apply FILE``: what was shown is applied, or refused with what has changed."""

import json
import os
import pathlib
import signal
import stat

import pytest

from tests.e2e import command


def test_apply__a_plan__brings_about_what_it_shows(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "shop.plan"
    planned = trimtab("plan", shop, "-o", file)
    assert planned.returncode == 2
    assert planned.stdout == trimtab("plan", shop).stdout, "the plan is shown as ever"
    assert f"apply {file}" in planned.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    applied = trimtab("apply", file, "-o", "json")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["outcome"] == "applied"
    assert f"applying the plan for {shop} that was made" in applied.stderr


def test_apply__the_first_plan_ever_has_values_of_secrets__is_brought_about(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (shop / "db.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {name: vault}\nstringData: {key: hunter2}\n---\n"
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: keeper}\n"
        "spec: {image: db, env: {PASSWORD: {secret: vault, key: key}}}\n"
    )
    file = tmp_path / "shop.plan"
    assert trimtab("plan", shop, "-o", file).returncode == 2
    assert b"hunter2" not in file.read_bytes()
    applied = trimtab("apply", file)
    assert applied.returncode == 0, applied.stderr


def test_apply__a_plan_of_a_source_that_has_changed__is_refused_and_says_what_has(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "shop.plan"
    trimtab("plan", shop, "-o", file)
    (shop / "more.yaml").write_text("apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: more}\n")
    refused = trimtab("apply", file)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "the revision of the source was" in refused.stderr
    assert "Volume/more was not declared" in refused.stderr
    assert "trimtab" in refused.stderr.splitlines()[-1]
    assert "plan SOURCE -o FILE" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"trimtab.dev/plan":1}', "is damaged: it has no release"),
        ('{"trimtab.dev/plan":99,"more":[]}', "is a plan of a newer trimtab"),
        ('{"trimtab.dev/plan":', "is damaged"),
    ],
    ids=["no plan", "newer", "cut"],
)
def test_apply__a_file_that_is_no_sound_plan__is_refused(
    trimtab: command.Trimtab, tmp_path: pathlib.Path, text: str, message: str
) -> None:
    file = tmp_path / "web.plan"
    file.write_text(text)
    refused = trimtab("apply", file)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "plan SOURCE -o FILE" in refused.stderr


@pytest.mark.parametrize("verb", ["plan", "validate", "render", "delete", "run"])
def test_plan_file__where_manifests_are_to_be__is_told_as_what_it_is(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path, verb: str
) -> None:
    file = tmp_path / "shop.plan"
    trimtab("plan", shop, "-o", file)
    refused = trimtab(verb, file)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert f"{file} is a plan that was kept, and no manifests" in refused.stderr
    assert f"apply {file} brings it about" in refused.stderr


@pytest.mark.parametrize("output", ["xml", "jsn"])
def test_plan__an_output_that_is_neither_a_form_nor_a_file__is_used_wrongly(
    trimtab: command.Trimtab, shop: pathlib.Path, output: str
) -> None:
    refused = trimtab("plan", shop, "-o", output)
    assert refused.returncode == 64
    assert f"{output!r} is not one of text, json, yaml; the name of a file has a . or a /" in refused.stderr


@pytest.mark.root
def test_apply__over_the_native_runtime__what_has_happened_since_counts(
    native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder, file = native.home / "manifests", tmp_path / "web.plan"
    (folder / "image.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: quickstart}\n"
        f"spec: {{archive: {{path: {quickstart_image}}}}}\n"
    )
    web = (
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: web}}\n"
        'spec: {{image: {{name: quickstart}}, command: [/bin/sleep, "{}"], stop: {{gracePeriod: 0s}}}}\n'
    )
    (folder / "web.yaml").write_text(web.format(1000))
    native("plan", folder, "-o", file)
    assert native("apply", file).returncode == 0
    again = native("apply", file)
    assert again.returncode == 1
    assert "Container/web was not there" in again.stderr

    (folder / "web.yaml").write_text(web.format(2000))
    planned = native("plan", folder, "-o", file)
    assert "Container/web is replaced" in planned.stdout
    (container,) = native.output("observe")["observed"]["containers"]
    os.kill(container["pid"], signal.SIGKILL)
    command.assert_eventually(lambda: "exited" in native("observe").stdout, "the container has ended")
    refused = native("apply", file)
    assert refused.returncode == 1
    assert "Container/web is there otherwise than it was" in refused.stderr

    native("plan", folder, "-o", file)
    applied = native("apply", file)
    assert applied.returncode == 0, applied.stderr
    assert native("plan", folder, "-o", file).returncode == 0
    assert native("apply", file).returncode == 0, "a plan without steps is applied too"
