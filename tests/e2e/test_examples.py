"""Every example of ``manifests/`` does on a real host what its comment says, and leaves nothing when it is deleted."""

import pathlib
import shutil
import urllib.request
from collections.abc import Callable

import pytest

from tests import hostports, instances
from tests.e2e import command

pytestmark = pytest.mark.root
EXAMPLES = instances.REPOSITORY / "manifests"
PUBLISHED = {"quickstart": 8080, "web-server": 8081}
"""The ports of the host that examples publish; tests take others."""


def _copied(native: command.Trimtab, name: str) -> pathlib.Path:
    """Return the manifest of a copy of an example, beside which the image's context lies as in the repository."""
    folder = native.home / "manifests" / name
    for each in {name, "quickstart"}:
        shutil.copytree(EXAMPLES / each, native.home / "manifests" / each)
    shutil.copy("/bin/busybox", native.home / "manifests" / "quickstart" / "busybox")
    manifest = folder / f"{name}.yaml"
    if name in PUBLISHED:
        _edit(manifest, f"127.0.0.1:{PUBLISHED[name]}:80", f"127.0.0.1:{hostports.free_port()}:80")
    return manifest


def _edit(manifest: pathlib.Path, old: str, new: str) -> None:
    """Replace a text, as editors do: never half of it."""
    text = manifest.read_text()
    assert old in text
    temporary = manifest.with_suffix(".new")
    temporary.write_text(text.replace(old, new))
    temporary.rename(manifest)


def _assert_applied(native: command.Trimtab, manifest: pathlib.Path) -> None:
    applied = native("apply", manifest.parent)
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout in {"applied\n", "nothing to change\n"}


def _assert_page_served(_native: command.Trimtab, manifest: pathlib.Path) -> None:
    port = manifest.read_text().partition('ports: ["127.0.0.1:')[2].partition(":")[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert b"html" in answer.read()


def _assert_names_resolve_and_nothing_leaves(native: command.Trimtab, _manifest: pathlib.Path) -> None:
    assert "html" in native("exec", "client", "wget", "-q", "-O", "-", "http://server/").stdout
    command.assert_eventually(lambda: "html" in native("logs", "client").stdout, "the page by the alias `pages`")
    assert "default" not in native("exec", "client", "ip", "route").stdout


def _assert_kept_over_replacement(native: command.Trimtab, manifest: pathlib.Path) -> None:
    _edit(manifest, 'RELEASE: "1"', 'RELEASE: "2"')
    assert "replace" in native("plan", manifest.parent).stdout.lower()
    _assert_applied(native, manifest)
    assert native("exec", "writer", "cat", "/data/releases").stdout == "release 1\nrelease 2\n"
    assert native("delete", manifest.parent).returncode == 0
    releases = native.home / "root" / "volumes" / "history" / "_data" / "releases"
    assert releases.read_text() == "release 1\nrelease 2\n"
    _edit(manifest, "deletionPolicy: Retain", "deletionPolicy: Delete")
    _assert_applied(native, manifest)  # a policy counts from when it was applied


def _assert_stuck_is_restarted(native: command.Trimtab, manifest: pathlib.Path) -> None:
    with native.running(manifest.parent) as agent:
        agent.assert_ready()
        assert native("exec", "worker", "sh", "-c", "echo > /tmp/stuck").returncode == 0
        agent.assert_shows('trimtab_container_restarts_total{name="worker",reason="unhealthy"}', 1.0)
        command.assert_eventually(lambda: native.is_ready("Container/worker"), "ready again")


def _assert_confined(native: command.Trimtab, _manifest: pathlib.Path) -> None:
    status = native("exec", "guest", "cat", "/proc/1/status").stdout
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == ["1000"] * 4
    assert (int(lines["CapBnd"], 16), lines["NoNewPrivs"]) == (0, "1")
    assert native("exec", "guest", "sh", "-c", "echo > /www/new").returncode != 0
    assert native("exec", "guest", "sh", "-c", "echo > /tmp/new").returncode == 0


def _assert_jobs_done(native: command.Trimtab, _manifest: pathlib.Path) -> None:
    assert native("logs", "migrate").stdout == "migrated\n"
    assert native("exec", "app", "ls", "/www").stdout == "index.html\n"


def _assert_environment_followed(native: command.Trimtab, manifest: pathlib.Path) -> None:
    greeting = "{} from example, with a password of {} letters\n"
    command.assert_eventually(lambda: native("logs", "app").stdout == greeting.format("Hello", 13), "the greeting")
    _edit(manifest.with_name("app.env"), "GREETING=Hello", "GREETING=Welcome")
    _edit(manifest, "correct horse #", "shorter #")
    planned = native("plan", manifest.parent).stdout
    assert "env: GREETING changed" in planned
    assert "env by secrets: PASSWORD changed" in planned
    _assert_applied(native, manifest)
    command.assert_eventually(lambda: native("logs", "app").stdout == greeting.format("Welcome", 7), "the change")


CHECKS: dict[str, Callable[[command.Trimtab, pathlib.Path], None]] = {
    "quickstart": _assert_page_served,
    "web-server": _assert_page_served,
    "private-network": _assert_names_resolve_and_nothing_leaves,
    "kept-volume": _assert_kept_over_replacement,
    "probes": _assert_stuck_is_restarted,
    "limits-and-hardening": _assert_confined,
    "jobs": _assert_jobs_done,
    "environment": _assert_environment_followed,
}


@pytest.mark.parametrize("name", CHECKS)
def test_example__applied__is_ready_does_what_it_says_and_is_deleted(native: command.Trimtab, name: str) -> None:
    manifest = _copied(native, name)
    assert "no problems" in native("validate", manifest.parent).stdout
    _assert_applied(native, manifest)
    assert native("plan", manifest.parent).stdout == "Nothing to change.\n"
    CHECKS[name](native, manifest)
    assert native("delete", manifest.parent).returncode == 0
    shutil.rmtree(native.home / "manifests")
    (native.home / "manifests").mkdir()
    assert native("system", "prune").returncode == 0  # the cache of the build
    assert native.instance.left_on_the_host() == []


def test_examples__all__are_tried_here_and_named_in_the_readme() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    readme = (EXAMPLES / "README.md").read_text()
    assert folders == set(CHECKS)
    assert all(f"[{name}]({name}/{name}.yaml)" in readme for name in folders)
