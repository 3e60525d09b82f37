"""Probes: what they find is told and acted upon, also after they or the networks were changed in place."""

import json
import pathlib

import pytest

from tests.e2e import bad_day, command

pytestmark = pytest.mark.root

ALIVE = "touch /tmp/alive; exec sleep 600"
LIVES = "exec: [sh, -c, 'test -e /tmp/alive'], period: 200ms"
SPEC = f"command: [sh, -c, {json.dumps(ALIVE)}], mounts: [{{tmpfs: 1Mi, path: /tmp}}]"


def test_liveness__fails_for_good__restarts_the_container_and_counts_it(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    with bad_day.begun(native, quickstart_image, f"{SPEC}, health: {{liveness: {{{LIVES}}}}}") as day:
        day.assert_recovers()
        before = day.pid("bad")
        assert native("exec", "bad", "busybox", "rm", "/tmp/alive").returncode == 0
        day.agent.assert_shows('trimtab_container_restarts_total{name="bad",reason="unhealthy"}', 1.0)
        day.assert_recovers()
        assert day.pid("bad") != before
        assert native.objects()["Container/bad"]["restarts"] == 1
        assert day.agent.metric('trimtab_probe_total{name="bad",probe="liveness",result="failure"}') >= 3


def test_probe__changed_while_it_runs__the_new_one_counts(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    never = f"{SPEC}, health: {{readiness: {{exec: [sh, -c, 'exit 3'], period: 200ms}}}}"
    with bad_day.begun(native, quickstart_image, never) as day:
        assert day.suffers("Unready") == "readiness: sh exited with 3"
        before = day.pid("bad")
        day.declare(f"{SPEC}, health: {{readiness: {{{LIVES}}}}}")
        day.assert_recovers()
        assert day.pid("bad") == before


def test_liveness__the_first_network_was_changed_in_place__is_probed_on(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    network = "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: another}\n"
    (native.home / "manifests" / "network.yaml").write_text(network)
    spec = f"{SPEC}, health: {{liveness: {{{LIVES}}}}}"
    with bad_day.begun(native, quickstart_image, spec) as day:
        day.assert_recovers()
        before = day.container("bad")
        day.declare(f"{spec}, networks: [another]")
        command.assert_eventually(lambda: day.container("bad")["addresses"][0][0] == "another", "the other network")
        assert day.pid("bad") == before["pid"]
        assert native("exec", "bad", "busybox", "rm", "/tmp/alive").returncode == 0
        day.agent.assert_shows('trimtab_container_restarts_total{name="bad",reason="unhealthy"}', 1.0)
        day.assert_recovers()


def test_readiness__its_program_is_missing__is_named(native: command.Trimtab, quickstart_image: pathlib.Path) -> None:
    spec = f"{SPEC}, health: {{readiness: {{exec: [no-such-program], period: 200ms}}}}"
    with bad_day.begun(native, quickstart_image, spec) as day:
        assert "no-such-program" in day.suffers("Unready")


def test_readiness__fails_from_the_beginning__is_told_before_anything_else_asks_for_a_look(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    spec = f"{SPEC}, health: {{readiness: {{exec: [sh, -c, 'exit 3'], period: 200ms}}}}"
    with bad_day.begun(native, quickstart_image, spec, relist="60s") as day:
        assert day.suffers("Unready") == "readiness: sh exited with 3"
