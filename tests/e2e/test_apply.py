"""``apply`` beside a running agent: by that agent where it brings about the same source, and refused otherwise."""

import pathlib
import shutil

import pytest

from tests.e2e import command


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
        assert completed.returncode == 0, completed.stderr
        events = trimtab.output("events")["events"]
        assert [event["action"] for event in events if event["reason"] == "Changed"], "the change was brought about"
        assert ("✓ " in completed.stderr) == (completed.stdout == "applied\n"), "it says what it has done"
        assert trimtab.output("describe", "container/web")["objects"][0]["declared"]["image"][0].endswith("1.28")
        assert trimtab("status").returncode == 0
        again = trimtab("apply", shop)
        assert (again.returncode, again.stdout) == (0, "nothing to change\n")
        assert "trimtab" in again.stderr
        assert "events says what was done" in again.stderr
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


def test_plan_and_delete__an_agent_brings_about_the_source__are_refused_with_the_way_out(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "early.plan"
    assert trimtab("plan", shop, "-o", file).returncode == 2
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        refused = trimtab("plan", shop, "-o", tmp_path / "late.plan")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"an agent runs here that brings about {shop}: no kept plan is applied beside it" in refused.stderr
        assert f"apply {shop} lets the agent do it" in refused.stderr
        assert not (tmp_path / "late.plan").exists()
        assert f"apply {shop} lets the agent do it" in trimtab("apply", file).stderr
        deleted = trimtab("delete", shop)
        assert (deleted.returncode, deleted.stdout) == (1, "")
        assert f"an agent runs here that brings about {shop}: nothing is removed beside it" in deleted.stderr
        assert "stop the agent, and then: trimtab --config " in deleted.stderr
        assert deleted.stderr.endswith(f" delete {shop}\n")
        (tmp_path / "other").mkdir()
        other = trimtab("delete", tmp_path / "other")
        assert f"brings about {shop}, not {tmp_path / 'other'}: nothing is removed beside it" in other.stderr
        planned = trimtab("plan", tmp_path / "other", "-o", tmp_path / "late.plan")
        assert f"brings about {shop}, not {tmp_path / 'other'}" in planned.stderr
    assert trimtab("delete", shop).returncode == 0


@pytest.mark.parametrize("through_link", [False, True], ids=["by the folder", "by a link"])
def test_apply__the_agent_was_started_otherwise__is_of_the_same_source(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path, *, through_link: bool
) -> None:
    link = tmp_path / "link"
    link.symlink_to(shop)
    started, typed = (link, shop) if through_link else (shop, link)
    with trimtab.running(started) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        assert trimtab("apply", typed).returncode == 0
        assert trimtab("plan", typed).stdout == "Nothing to change.\n"
        link.unlink()
        link.symlink_to(tmp_path)
        if not through_link:
            assert "not " in trimtab("apply", typed).stderr, "the link leads elsewhere now"
