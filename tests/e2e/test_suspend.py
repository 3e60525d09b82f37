"""``suspend`` and ``resume`` with an agent that runs and without one, and what ``status`` and the metrics say."""

import pathlib

from tests.e2e import command


def assert_applied(trimtab: command.Trimtab, agent: command.Agent) -> None:
    agent.assert_ready()
    command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")


def test_suspend__an_object__is_left_alone_until_it_is_resumed(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        assert_applied(trimtab, agent)
        assert trimtab("suspend", "container/web").stdout == "Container/web suspended\n"
        assert trimtab("suspend", "web").stdout == "Container/web unchanged: suspended already\n"
        assert trimtab("status").returncode == 0, "it is as declared"
        manifest = shop / "web.yaml"
        text = manifest.read_text()
        manifest.write_text(text.replace("1.27", "1.28"))
        trimtab("reconcile")
        web = trimtab.objects()["Container/web"]
        assert (web["Ready"]["status"], web["Ready"]["reason"]) == ("False", "Suspended")
        assert web["suspendedAt"] is not None
        assert "resume Container/web" in trimtab("status").stdout
        assert "Suspended:" in trimtab("describe", "container/web").stdout
        assert agent.metric('trimtab_object_suspended{kind="Container",name="web"}') == 1.0
        (event,) = trimtab.output("events", "container/web", "-n", "1")["events"]
        assert (event["action"], event["reason"]) == ("Suspend", "Requested")
        resumed = trimtab("resume", "container/web")
        assert (resumed.stdout, resumed.stderr) == ("Container/web resumed\n", "")
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "it is replaced")
        assert agent.metric('trimtab_object_suspended{kind="Container",name="web"}') is None


def test_suspend__without_an_agent__counts_for_the_next_one(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    assert "no agent has run here yet" in trimtab("suspend", "--all").stderr
    assert trimtab("apply", shop).returncode == 0
    unknown = trimtab("suspend", "wbe")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "did you mean Container/web" in unknown.stderr
    assert trimtab("suspend", "--all").stdout == "Source suspended\n"
    assert trimtab("suspend", "container/web").stdout == "Container/web suspended\n"
    assert "suspended for" in trimtab("status").stdout
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.assert_shows("trimtab_source_suspended", 1.0)
        assert trimtab.output("status")["suspendedAt"] is not None
        unknown = trimtab("resume", "wbe")
        assert (unknown.returncode, unknown.stdout) == (1, "")
        assert "did you mean Container/web" in unknown.stderr
        resumed = trimtab("resume", "--all")
        assert resumed.stdout == "Source resumed\n"
        assert "Container/web is still suspended" in resumed.stderr
        agent.assert_shows("trimtab_source_suspended", 0.0)
    assert trimtab("resume", "container/web").stdout == "Container/web resumed\n"


def test_apply__the_object_is_suspended__says_so_and_fails_at_once(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    assert trimtab("apply", shop).returncode == 0
    assert trimtab("suspend", "container/web").returncode == 0
    manifest = shop / "web.yaml"
    manifest.write_text(manifest.read_text().replace("1.27", "1.28"))
    completed = trimtab("apply", shop)
    assert completed.returncode == 1
    assert "Container/web: Suspended: it is suspended" in completed.stderr
    assert "resume Container/web" in completed.stderr
