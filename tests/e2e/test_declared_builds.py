"""An Image that is built from a Dockerfile: its files are watched, and what runs follows them."""

import pathlib
from collections.abc import Iterator

import pytest

from tests import registry
from tests.e2e import command

pytestmark = pytest.mark.root

DOCKERFILE = 'FROM localhost/base\nCOPY page /www/index.html\nCMD ["/bin/httpd", "-f", "-p", "80", "-h", "/www"]\n'
MANIFESTS = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: base}}
spec: {{archive: {{path: {archive}}}}}
---
apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: site}}
spec: {{build: {{context: ../app}}}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec: {{image: {{name: site}}, stop: {{gracePeriod: 0s}}}}
"""


@pytest.fixture
def app(native: command.Trimtab, quickstart_image: pathlib.Path) -> Iterator[pathlib.Path]:
    """The context of the image that is declared in ``manifests``."""
    folder = native.home / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text(MANIFESTS.format(archive=quickstart_image))
    app = native.home / "app"
    app.mkdir()
    (app / "Dockerfile").write_text(DOCKERFILE)
    (app / "page").write_text("1")
    yield app
    assert native("delete", folder).returncode == 0
    assert native("system", "prune").returncode == 0  # the cache of the builds


def _page(native: command.Trimtab) -> str:
    return native("exec", "web", "cat", "/www/index.html").stdout


def test_run__files_of_a_build_change__the_container_is_replaced_and_a_failure_leaves_it(
    native: command.Trimtab, app: pathlib.Path
) -> None:
    folder = native.home / "manifests"
    with native.running(folder) as agent:
        agent.runs("web")
        assert _page(native) == "1"
        assert native("plan", folder).stdout == "Nothing to change.\n"
        (app / "page").write_text("2")
        command.assert_eventually(lambda: _page(native) == "2", lambda: f"the new page\n{agent.log}")
        (app / "Dockerfile").write_text(DOCKERFILE + "RUN echo out of luck; exit 7\n")
        stalled = 'trimtab_object_condition{kind="Image",name="site",status="True",type="Stalled"}'
        agent.assert_shows(stalled, 1.0)
        agent.assert_shows('trimtab_build_steps_total{name="site",result="failed"}', 1.0)
        agent.assert_shows('trimtab_build_duration_seconds_count{result="succeeded"}', 2.0)
        message = native.objects()["Image/site"]["Stalled"]["message"]
        assert f"{app}/Dockerfile:4: RUN echo out of luck; exit 7 has ended with exit code 7" in message
        assert "it printed last: out of luck" in message
        assert _page(native) == "2"
        (app / "page").write_text("3")
        (app / "Dockerfile").write_text(DOCKERFILE)
        command.assert_eventually(lambda: _page(native) == "3", lambda: f"the next page\n{agent.log}")
        agent.assert_shows(stalled, 0.0)
        assert agent.metric("trimtab_internal_errors_total") == 0


def test_run__another_agent_takes_over__nothing_is_built_again_and_what_changed_meanwhile_is(
    native: command.Trimtab, app: pathlib.Path
) -> None:
    folder = native.home / "manifests"
    assert native("apply", folder).returncode == 0
    assert native("plan", folder).stdout == "Nothing to change.\n"
    again = native("apply", folder)
    assert "nothing to change" in (again.stdout + again.stderr).lower()
    (app / "page").write_text("2")
    assert "Image/site is changed\n      because Changed: build changed" in native("plan", folder).stdout
    with native.running(folder) as agent:
        agent.runs("web")
        command.assert_eventually(lambda: _page(native) == "2", lambda: f"the new page\n{agent.log}")


def test_validate__build__is_rendered_and_explained(native: command.Trimtab, app: pathlib.Path) -> None:
    folder = native.home / "manifests"
    assert native("validate", folder).returncode == 0
    rendered = native("render", folder, "-o", "yaml").stdout
    assert f"context: {app}\n" in rendered
    assert "dockerfileInline" in native("explain", "image.spec.build").stdout


def test_apply__over_the_memory_runtime__is_refused_at_its_place(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "site.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: site}\nspec: {build: {}}\n"
    )
    refused = trimtab("apply", tmp_path / "site.yaml")
    assert refused.returncode != 0
    assert "site.yaml:4:15: error: spec.build: simulates" in refused.stderr


def test_apply__build_with_a_cache_in_a_registry__is_kept_there_and_taken_from_there(
    native: command.Trimtab, app: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = native.home / "manifests"
    (tmp_path / "registry").mkdir()
    with registry.running(tmp_path / "registry") as address:
        cache = f"{address}/team/cache:site"
        text = (folder / "all.yaml").read_text()
        declared = f"{{build: {{context: ../app, cacheTo: [{cache}], cacheFrom: [{cache}]}}}}"
        (folder / "all.yaml").write_text(text.replace("{build: {context: ../app}}", declared))
        (app / "Dockerfile").write_text(DOCKERFILE + "RUN cat /proc/sys/kernel/random/uuid > /drawn\n")
        assert native("apply", folder).returncode == 0
        drawn = native("exec", "web", "cat", "/drawn").stdout
        assert native("delete", folder).returncode == 0
        assert native("system", "prune").returncode == 0
        assert native("apply", folder).returncode == 0
        assert native("exec", "web", "cat", "/drawn").stdout == drawn != ""
