"""``apply`` beside a running agent: by that agent where it brings about the same source, and refused otherwise."""

import pathlib
import shutil

import pytest

from tests.e2e import command

pytestmark = pytest.mark.timeout(60)


def test_apply__the_agent_brings_about_the_same_source__is_done_by_it(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    alone = trimtab("apply", shop)
    assert (alone.returncode, alone.stdout) == (0, "applied\n")
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        manifest = shop / "web.yaml"
        text = manifest.read_text()
        manifest.write_text(text.replace("1.27", "1.28"))
        completed = trimtab("apply", shop)
        assert (completed.returncode, completed.stdout) == (0, "applied\n"), completed.stderr
        assert trimtab.output("describe", "container/web")["objects"][0]["declared"]["image"][0].endswith("1.28")
        assert trimtab("status").returncode == 0
        again = trimtab("apply", shop)
        assert (again.returncode, again.stdout, again.stderr) == (0, "applied\n", "")
        assert trimtab.output("apply", shop).keys() == {
            *("outcome", "revision", "timedOut", "nothingHere", "unfinished", "objects")
        }
        manifest.write_text("kind: Nonsense\n")
        bad = trimtab("apply", shop)
        assert (bad.returncode, bad.stdout) == (1, "")
        assert f"{manifest}:1:" in bad.stderr
        assert "1 | kind: Nonsense" in bad.stderr
        manifest.write_text(text)
        trimtab("suspend", "container/web")
        manifest.write_text(text.replace("1.27", "1.29"))
        suspended = trimtab("apply", shop)
        assert (suspended.returncode, suspended.stdout[:12]) == (1, "not applied:")
        assert "resume Container/web" in suspended.stderr
        other = pathlib.Path(shutil.copytree(shop, tmp_path / "other"))
        refused = trimtab("apply", other)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"an agent runs here that brings about {shop}, not {other}" in refused.stderr
        assert "add the manifests to that source" in refused.stderr
