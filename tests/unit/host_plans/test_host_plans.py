"""A plan by values of Secrets that this host can compare, or cannot."""

import dataclasses
import os
import pathlib

import pytest

from agent import app, host_key, host_plans, settings
from agent.kit import permissions
from agent.model import secret, state
from agent.plan import render
from tests import builders

VALUE = b"s3cr3t"


def config_by(key: bytes) -> dict[str, object]:
    """Return a container and its Secret's value, with fingerprints by a key."""
    fingerprint = secret.fingerprint(key, "db", "password", VALUE)
    variable = secret.SecretVariable("PASSWORD", "db", "password", fingerprint)
    return {
        "config": builders.config(secret_env=(variable,)),
        "value": secret.SecretValue("db", "password", fingerprint, VALUE),
    }


def declared(key: bytes) -> state.DesiredState:
    parts = config_by(key)
    return dataclasses.replace(builders.desired(parts["config"]), secrets=(parts["value"],))  # type: ignore[arg-type]


def sight(key: bytes, identity: str) -> app.Sight:
    world = builders.world(builders.observed(config_by(key)["config"]))  # type: ignore[arg-type]
    return app.Sight(builders.OWNER, frozenset(), world, identity)


@pytest.fixture
def chosen(tmp_path: pathlib.Path) -> settings.Settings:
    return settings.Settings(root=tmp_path / "root", run_dir=tmp_path / "run", runtime="memory")


def planned(chosen: settings.Settings, seen_by: app.Sight) -> list[str]:
    return render.text(host_plans.plan_for(chosen, declared(host_key.read(chosen)), seen_by)).splitlines()


def test_same_key__values_are_compared(chosen: settings.Settings) -> None:
    assert host_key.ensure(chosen)
    own = host_key.read(chosen)
    assert planned(chosen, sight(own, host_key.identity(chosen))) == ["Nothing to change."]


@pytest.mark.parametrize("identity", [secret.key_id(b"k" * 32), ""], ids=["another key", "a key that was not told"])
def test_another_host__nothing_is_planned_and_the_way_out_is_said(chosen: settings.Settings, identity: str) -> None:
    assert host_key.ensure(chosen)
    assert planned(chosen, sight(b"k" * 32, identity)) == [
        (
            "  ? Container/web may have to change: PASSWORD (key password of Secret/db) cannot be compared here, as"
            " the key is another one than that of the host that was observed: plan on that host, as root"
        ),
        "",
        "Nothing to change, as far as it can be compared here.",
    ]


def test_key_that_may_not_be_read__nothing_is_planned_and_the_way_out_is_said(
    chosen: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host_key.ensure(chosen)
    own = host_key.read(chosen)
    seen_by = sight(own, secret.key_id(own))
    path = host_key.path(chosen)
    monkeypatch.setattr(os, "access", lambda checked, _: checked != path)  # root may read what has no permission
    result = host_plans.plan_for(chosen, declared(b""), seen_by)
    reason = f"as {path} cannot be read: {permissions.RUN_AS_ROOT}"
    assert [message for _, message in result.uncompared] == [
        f"PASSWORD (key password of Secret/db) cannot be compared here, {reason}"
    ]
    assert result.empty


def test_key_that_is_lost__containers_are_replaced_as_they_will_be(chosen: settings.Settings) -> None:
    lines = planned(chosen, sight(b"k" * 32, host_key.identity(chosen)))
    assert lines[0] == "-/+ Container/web is replaced"


async def test_observe__says_which_key_it_is_by(chosen: settings.Settings) -> None:
    assert (await app.observe(chosen)).secrets_key == "none"
    assert host_key.ensure(chosen)
    seen_by = await app.observe(chosen)
    assert seen_by.secrets_key == secret.key_id(host_key.read(chosen))
    assert host_key.read(chosen).hex()[:16] != seen_by.secrets_key
