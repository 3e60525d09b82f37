"""``trimtab adopt`` on hosts that others have furnished: by hand, with docker-compose, with Podman."""

import os
import pathlib
import signal

import pytest
import yaml

from tests.e2e import command, engine_host

pytestmark = [pytest.mark.root, pytest.mark.engine]

IMAGE = engine_host.IMAGE
SLEEP = (IMAGE, "sleep", "600")
COMPOSE = f"""
version: "3.7"
services:
  web:
    image: {IMAGE}
    command: [/bin/httpd, -f, -p, "80", -h, /www]
    ports: ["127.0.0.1:18090:80"]
    environment: {{ZONE: "UTC", WORDS: "two words"}}
    volumes: [data:/data]
    restart: unless-stopped
    stop_grace_period: 0s
    healthcheck: {{test: ["CMD", "/bin/sh", "-c", "true"], interval: 5s}}
  db:
    image: {IMAGE}
    command: sleep 600
    restart: always
    stop_grace_period: 0s
    networks: {{default: {{aliases: [database]}}}}
volumes: {{data: {{}}}}
"""
NOTHING = "Nothing to change.\n"


@pytest.fixture
def furnished(engine_host, tmp_path: pathlib.Path) -> engine_host.EngineHost:
    """A host with a Compose project, and with a container that was started by hand."""
    engine_host.load()
    (tmp_path / "my_shop").mkdir()
    (tmp_path / "my_shop" / "docker-compose.yml").write_text(COMPOSE)
    engine_host.compose(tmp_path / "my_shop" / "docker-compose.yml", "up", "--detach")
    limits = ("--memory", "64m", "--cap-drop", "NET_RAW", "--stop-timeout", "0", "--restart", "always")
    mounts = ("--volume", f"{tmp_path}:/host:ro", "--volume", "Own_Data:/data", "--tmpfs", "/t:size=1m")
    engine_host.docker("run", "-d", "--name", "by_hand", *limits, *mounts, "-e", "X=1", "-w", "/tmp", *SLEEP)
    return engine_host


def _plan(host: engine_host.EngineHost) -> str:
    return host.trimtab("plan", host.folder).stdout


def _documents(host: engine_host.EngineHost) -> dict[str, dict]:
    texts = [path.read_text() for path in sorted(host.folder.iterdir())]
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in documents}


def test_adopt__by_hand_and_by_compose__plans_nothing_also_after_all_kinds_of_restarts(furnished) -> None:
    before = furnished.runs()
    adopted = furnished.trimtab("adopt", furnished.folder)
    assert (adopted.returncode, "3 adopted, 0 left alone" in adopted.stderr) == (0, True), adopted.stderr
    assert sorted(path.name for path in furnished.folder.iterdir()) == ["by-hand.yaml", "my-shop.yaml"]
    assert _plan(furnished) == NOTHING
    applied = furnished.trimtab("apply", furnished.folder)
    assert (applied.returncode, applied.stdout) == (0, "nothing to change\n"), applied.stderr
    with furnished.trimtab.running(furnished.folder) as agent:
        agent.says("everything is as declared")
        assert agent.metric("trimtab_plan_steps") == 0
        agent.stop(signal.SIGKILL)
    assert furnished.runs() == before, "nothing was touched"
    furnished.docker("restart", "--time", "0", "by_hand")
    assert _plan(furnished) == NOTHING
    furnished.switch.restart()
    with furnished.trimtab.running(furnished.folder) as agent:
        agent.says("everything is as declared")
        for name in ("by-hand", "my-shop-web-1", "my-shop-db-1"):
            agent.runs(name)
        assert {name: run[0] for name, run in furnished.runs().items()} == {
            name: run[0] for name, run in before.items()
        }, "they are the same containers"
    assert _plan(furnished) == NOTHING


@pytest.mark.parametrize("engine_host", ["podman"], indirect=True)
def test_adopt__started_by_podmans_own_command_line__plans_nothing(engine_host) -> None:
    engine_host.load()
    engine_host.podman("network", "create", "shop")
    networked = ("--network", "shop", "--network-alias", "database")
    closed = (
        "--user",
        "1:1",
        "--read-only",
        "--read-only-tmpfs=false",
        "--pids-limit",
        "50",
        "--volume",
        "data:/data:ro",
    )
    run = ("run", "-d", "--stop-timeout", "0", "--name")
    engine_host.podman(*run, "db", *networked, *closed, *SLEEP)
    engine_host.podman(*run, "web", "--publish", "127.0.0.1:18091:80", "--cpus", "0.5", IMAGE)
    engine_host.podman(*run, "on_host", "--network", "host", "--cap-add", "SYS_TIME", *SLEEP)
    before = engine_host.runs()
    adopted = engine_host.trimtab("adopt", engine_host.folder)
    assert "3 adopted, 0 left alone" in adopted.stderr
    assert _plan(engine_host) == NOTHING
    engine_host.switch.restart()
    assert engine_host.trimtab("apply", engine_host.folder).stdout == "nothing to change\n"
    assert engine_host.runs() == before


def test_adopt__what_no_manifest_can_say__is_left_alone_and_told(engine_host) -> None:
    engine_host.load()
    run = ("run", "-d", "--stop-timeout", "0", "--name")
    engine_host.docker("create", "--name", "mighty", "--privileged", *SLEEP)
    engine_host.docker(*run, "talkative", "--tty", "--dns", "10.0.0.53", *SLEEP)
    engine_host.docker(*run, "nosy", "--pid", "host", *SLEEP)
    engine_host.docker(*run, "parasite", "--network", "container:nosy", *SLEEP)
    engine_host.docker(*run, "plain", *SLEEP)
    before = engine_host.names()
    adopted = engine_host.trimtab("adopt", engine_host.folder)
    assert adopted.returncode == 0
    assert "left alone: mighty: it is privileged" in adopted.stderr
    reasons = "it has DNS servers of its own; it has a terminal or an open standard input"
    assert f"left alone: talkative: {reasons}\n" in adopted.stderr
    assert "left alone: nosy: its PidMode is host" in adopted.stderr
    assert "left alone: parasite: it is in the network of another container\n" in adopted.stderr
    assert "1 adopted, 4 left alone" in adopted.stderr
    assert {key for key in _documents(engine_host) if key.startswith("Container/")} == {"Container/plain"}
    assert engine_host.trimtab("delete", engine_host.folder).returncode == 0
    assert engine_host.names() == before - {"plain"}


def test_adopt__afterwards__everything_is_as_if_trimtab_had_made_it(furnished) -> None:
    furnished.docker("exec", "by_hand", "sh", "-c", "echo precious > /data/file")
    assert furnished.trimtab("adopt", furnished.folder).returncode == 0
    before = furnished.runs()
    file = furnished.folder / "by-hand.yaml"
    with furnished.trimtab.running(furnished.folder) as agent:
        agent.says("everything is as declared")
        os.kill(before["my_shop_db_1"][1], signal.SIGKILL)
        was = before["my_shop_db_1"]
        command.assert_eventually(lambda: furnished.runs().get("my_shop_db_1", was) != was, "it runs again")
        furnished.drop("by-hand", file.read_text().replace("X: '1'", "X: changed"))
        command.assert_eventually(
            lambda: (
                furnished.trimtab("exec", "by-hand", "sh", "-c", "echo $X; cat /data/file").stdout
                == "changed\nprecious\n"
            ),
            "it is replaced, with its data",
        )
        assert furnished.runs()["my_shop_web_1"] == before["my_shop_web_1"], "the others were not touched"
        (furnished.folder / "my-shop.yaml").unlink()
        command.assert_eventually(lambda: len(furnished.names()) == 1, "what is no longer declared is removed")
        command.assert_eventually(lambda: furnished.networks() == set(), "its network as well")
    assert furnished.volumes() == {"Own_Data", "my_shop_data"}, "data stays"
    assert furnished.trimtab("delete", furnished.folder).returncode == 0
    assert furnished.names() == set()


def test_adopt__some_by_name_and_the_others_later__the_directory_only_grows(furnished) -> None:
    before = furnished.runs()
    dry = furnished.trimtab("adopt", furnished.folder, "--dry-run")
    assert (dry.returncode, dry.stdout.splitlines()) == (
        0,
        [str(furnished.folder / name) for name in ("by-hand.yaml", "my-shop.yaml")],
    )
    assert "3 would be adopted" in dry.stderr
    assert not furnished.folder.exists()
    assert "ours" not in furnished.trimtab("observe").stdout
    nobody = furnished.trimtab("adopt", furnished.folder, "nobody")
    assert nobody.returncode == 1
    assert "there is no container nobody" in nobody.stderr
    assert "1 adopted" in furnished.trimtab("adopt", furnished.folder, "by_hand").stderr
    first = (furnished.folder / "by-hand.yaml").read_bytes()
    assert _plan(furnished) == NOTHING
    assert "2 adopted" in furnished.trimtab("adopt", furnished.folder).stderr
    assert (furnished.folder / "by-hand.yaml").read_bytes() == first
    assert _plan(furnished) == NOTHING
    repeated = furnished.trimtab("adopt", furnished.folder)
    assert (repeated.returncode, "0 adopted" in repeated.stderr) == (1, True)
    assert furnished.runs() == before
