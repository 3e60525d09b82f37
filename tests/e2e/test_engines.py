"""The agent over Docker and over Podman, beside people who use the engine as they always did."""

import contextlib
import os
import pty
import signal
import subprocess
import urllib.request

import pytest

from tests import engines
from tests.e2e import command, engine_host

pytestmark = [pytest.mark.root, pytest.mark.engine]

SLEEP = engine_host.SLEEP
NETWORK = "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: shop}\nspec: {subnets: [10.90.0.0/24]}\n"
VOLUME = "apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: data}\nspec: {deletionPolicy: Delete}\n"
SERVES = "command: [httpd, -f, -p, '80', -h, /www]"


def _page(port: int) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode())
    return ""


def test_run__manifests_are_dropped_and_taken_away__are_followed(engine_host) -> None:
    folder = engine_host.write()
    with engine_host.trimtab.running(folder) as agent:
        agent.assert_ready()
        engine_host.drop("network", NETWORK)
        engine_host.drop("volume", VOLUME)
        serves = f'{SERVES}, ports: ["127.0.0.1:18080:80"], networks: [{{name: shop, aliases: [www]}}]'
        engine_host.write(
            web=f"{serves}, mounts: [{{volume: data, path: /data}}], health: {{readiness: {{http: {{port: 80}}}}}},"
            " resources: {memory: 32Mi}",
            client=f"{SLEEP}, networks: [shop], dependsOn: [{{container: web, condition: Healthy}}]",
        )
        agent.runs("client")
        command.assert_eventually(lambda: "html" in _page(18080), "the page is served")
        assert_fetches(engine_host, "client", "http://www/")
        assert engine_host.trimtab("plan", folder).stdout == "Nothing to change.\n"
        assert_measured(agent, engine_host.runs()["web"][0], engine_host.engine.flavour)
        for name in ("client", "web", "network", "volume"):
            (folder / f"{name}.yaml").unlink()
        command.assert_eventually(lambda: engine_host.names() == set(), "the containers are gone")
        command.assert_eventually(lambda: not engine_host.networks() | engine_host.volumes(), "and what they stood on")
        assert _page(18080) == ""
        assert agent.metric("trimtab_internal_errors_total") == 0


def test_run__a_network_gets_another_subnet__its_containers_find_each_other_there(engine_host) -> None:
    engine_host.drop("network", NETWORK.replace("10.90.0.0/24", "10.91.0.0/24"))
    folder = engine_host.write(
        web=f"{SERVES}, networks: [{{name: shop, aliases: [www]}}]", client=f"{SLEEP}, networks: [shop]"
    )
    with engine_host.trimtab.running(folder) as agent:
        agent.runs("client")
        agent.runs("web")
        assert_fetches(engine_host, "client", "http://www/")
        engine_host.drop("network", NETWORK)
        command.assert_eventually(lambda: _is_converged(engine_host), lambda: f"the new subnet\n{agent.log}")
        assert_fetches(engine_host, "client", "http://www/")
        assert agent.metric("trimtab_internal_errors_total") == 0


def test_run__files_of_a_build_change__the_engine_builds_and_its_container_is_replaced(engine_host) -> None:
    app = engine_host.trimtab.home / "app"
    app.mkdir()
    (app / "Dockerfile").write_text("FROM localhost/quickstart\nCOPY page /page\n")
    (app / "page").write_text("1")
    engine_host.drop(
        "site",
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: site}}\nspec: {{build: {{context: {app}}}}}\n",
    )
    folder = engine_host.write(web=SLEEP)
    manifest = folder / "web.yaml"
    engine_host.drop("web", manifest.read_text().replace("image: {name: quickstart}", "image: {name: site}"))
    with engine_host.trimtab.running(folder) as agent:
        agent.runs("web")
        for page in ("1", "2"):
            (app / "page").write_text(page)
            command.assert_eventually(
                lambda page=page: engine_host.trimtab("exec", "web", "cat", "/page").stdout == page,
                lambda page=page: f"page {page}\n{agent.log}",
            )
        assert agent.metric("trimtab_internal_errors_total") == 0


def _is_converged(host: engine_host.EngineHost) -> bool:
    networks = {document["Name"]: document for document in host.engine.call("GET", "networks")}
    subnets = [config["Subnet"] for config in networks["shop"]["IPAM"]["Config"]] if "shop" in networks else []
    return subnets == ["10.90.0.0/24"] and "Nothing to change" in host.trimtab("plan", host.folder).stdout


def assert_fetches(host: engine_host.EngineHost, source: str, url: str) -> None:
    """Assert that a container gets a page by another's name.

    Podman signals its DNS server as it starts a container, and does not wait until that has read of it.
    """
    answers = []

    def is_served() -> bool:
        answers.append(host.trimtab("exec", source, "wget", "-q", "-O", "-", url))
        return "html" in answers[-1].stdout

    if host.engine.flavour == "podman":
        command.assert_eventually(
            is_served, lambda: f"{source} gets {url}: {answers[-3:]}\n{_name_server(host.engine)}"
        )
    else:
        assert is_served(), answers[-1].stderr


def _name_server(engine: engines.Engine) -> str:
    """Return whether Podman's DNS server runs and listens, and what it has to read."""
    look = (
        "pgrep -a aardvark; head -n 20 /run/containers/networks/aardvark-dns/*;"
        " for pid in $(pgrep aardvark); do cat /proc/$pid/net/udp /proc/$pid/status; done"
    )
    words = engine.with_own_programs("sh", "-c", look)
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def assert_measured(agent: command.Agent, identity: str, flavour: str) -> None:
    """Assert that what a container uses is told, as far as its engine does; its limit is 32 MiB."""
    lines = [line for line in agent.get("/metrics")[1].splitlines() if f'id="{identity}"' in line]
    sample_values = {line.partition("{")[0]: line.rpartition(" ")[2] for line in lines}
    assert {"container_memory_working_set_bytes", "container_cpu_usage_seconds_total"} <= set(sample_values)
    assert {"container_network_receive_bytes_total", "container_threads"} <= set(sample_values)
    assert float(sample_values["container_spec_cpu_period"]) == 100_000
    assert {"container_cpu_user_seconds_total", "container_cpu_system_seconds_total"} <= set(sample_values)
    in_detail = {"container_memory_rss", "container_memory_cache"}
    assert in_detail & set(sample_values) == (in_detail if flavour == "docker" else set())
    assert not {"container_processes", "container_oom_events_total", "container_fs_reads_total"} & set(sample_values)
    assert agent.metric("machine_cpu_cores") == os.cpu_count()
    assert agent.metric("machine_memory_bytes") == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert float(sample_values["container_spec_memory_limit_bytes"]) == 32 * 1024 * 1024


def test_run__things_vanish_behind_our_back__are_there_again_and_counted(engine_host) -> None:
    networked = f"{SLEEP}, networks: [shop]"
    folder = engine_host.write(killed=networked, removed=networked, other=networked)
    engine_host.drop("network", NETWORK)
    with engine_host.trimtab.running(folder) as agent:
        agent.says("everything is as declared")
        before = engine_host.runs()
        os.kill(before["killed"][1], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="killed",reason="exit"}', 1.0)
        agent.runs("killed")
        assert engine_host.runs()["killed"][0] == before["killed"][0], "it is the same container"
        engine_host.docker("rm", "--force", "removed")
        agent.assert_shows('trimtab_drift_found_total{kind="Container"}', 2.0)
        agent.runs("removed")
        assert engine_host.runs()["removed"][0] != before["removed"][0], "it is made again"
        for name in before:
            engine_host.docker("network", "disconnect", "--force", "shop", name)
        with contextlib.suppress(AssertionError):  # the agent may have been quicker
            engine_host.docker("network", "rm", "shop")
        command.assert_eventually(lambda: _reaches(engine_host, "other", "removed"), "they reach each other again")
        if engine_host.engine.flavour == "docker":  # Podman puts nobody into a first network later
            assert engine_host.runs()["other"] == before["other"], "it has been in one run all the time"
        command.assert_eventually(
            lambda: engine_host.trimtab("plan", folder).stdout == "Nothing to change.\n", "nothing is left to do"
        )


def _reaches(host: engine_host.EngineHost, source: str, target: str) -> bool:
    return host.trimtab("exec", source, "nslookup", target).returncode == 0


def test_run__somebody_stops_containers__what_becomes_of_them_is_their_policys_choice(engine_host) -> None:
    slow = "command: [sh, -c, 'trap \"sleep 1; exit 3\" TERM; while :; do sleep 0.1; done']"
    folder = engine_host.write(
        patient=f"{slow}, restart: {{policy: UnlessStopped}}", eager=f"{SLEEP}, restart: {{policy: Always}}"
    )
    with engine_host.trimtab.running(folder) as agent:
        agent.says("everything is as declared")
        engine_host.stop("patient", "eager")
        agent.assert_shows('trimtab_container_restarts_total{name="eager",reason="exit"}', 1.0)
        command.assert_eventually(
            lambda: engine_host.conditions("Container/patient") == ("False", "Stopped"), "it stays stopped, and is told"
        )
        assert set(engine_host.runs()) == {"eager"}
        agent.stop(signal.SIGKILL)
    with engine_host.trimtab.running(folder) as agent:
        agent.says('"port"')
        agent.runs("eager")
        assert set(engine_host.runs()) == {"eager"}, "also for the next agent"
        engine_host.docker("start", "patient")
        agent.assert_shows('trimtab_object_condition{kind="Container",name="patient",status="True",type="Ready"}', 1.0)
        os.kill(engine_host.runs()["patient"][1], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="patient",reason="exit"}', 1.0)
        agent.runs("patient")


def test_run__probes_fail__the_containers_are_restarted_and_stay_under_their_policy(engine_host) -> None:
    ready = "> /tmp/fine; exec httpd -f -p 80 -h /www"
    script = f"if ! test -e /data/$NAME; then > /data/$NAME; exec sleep 600; fi; {ready}"
    probes = {"asked": "exec: [sh, -c, test -e /tmp/fine]", "knocked": "tcp: {port: 80}", "fetched": "http: {port: 80}"}
    engine_host.drop("network", NETWORK)
    engine_host.drop("volume", VOLUME)
    folder = engine_host.write(
        **{
            name: f"command: [sh, -c, '{script}'], networks: [shop], restart: {{policy: UnlessStopped}},"
            f" mounts: [{{volume: data, path: /data}}, {{tmpfs: 1Mi, path: /tmp}}], env: {{NAME: {name}}},"
            f" health: {{liveness: {{{probe}, period: 200ms, failureThreshold: 2}}}}"
            for name, probe in probes.items()
        }
    )
    with engine_host.trimtab.running(folder) as agent:
        agent.assert_ready()
        lines = [f'restarts_total{{name="{name}",reason="unhealthy"}} 1.0' for name in probes]
        lines += [f'container_health{{health="healthy",name="{name}"}} 1.0' for name in probes]
        command.assert_eventually(
            lambda: _all_in(agent.get("/metrics")[1], lines), "each was restarted once, and is well"
        )
        os.kill(engine_host.runs()["asked"][1], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="asked",reason="exit"}', 1.0)
        assert _all_in(agent.get("/metrics")[1], lines[:3]), "for no other reason"


def _all_in(text: str, lines: list[str]) -> bool:
    return all(line in text for line in lines)


def test_run__the_agent_is_killed__the_next_one_finds_everything_as_it_was(engine_host) -> None:
    folder = engine_host.write(web=f"{SERVES}, ports: ['127.0.0.1:18080:80']", other=SLEEP)
    with engine_host.trimtab.running(folder) as agent:
        agent.says("everything is as declared")
        agent.stop(signal.SIGKILL)
    before = engine_host.runs()
    assert "html" in _page(18080)
    assert engine_host.trimtab("plan", folder).stdout == "Nothing to change.\n"
    with engine_host.trimtab.running(folder) as agent:
        agent.assert_ready()
        assert engine_host.runs() == before
        assert agent.metric("trimtab_plan_steps") == 0
        os.kill(before["other"][1], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="other",reason="exit"}', 1.0)


def test_exec__code_streams_stdin_its_end_and_a_terminal__are_passed_through(engine_host) -> None:
    sleeper = "sleeper"
    assert engine_host.trimtab("apply", engine_host.write(sleeper=SLEEP)).returncode == 0
    completed = engine_host.trimtab("exec", sleeper, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (completed.returncode, completed.stdout, completed.stderr) == (7, "out\n", "err\n")
    text = "x" * 300_000 + "\n"
    assert engine_host.trimtab("exec", "-i", sleeper, "cat", stdin=text).stdout == text
    assert engine_host.trimtab("exec", sleeper, "cat").stdout == ""
    missing = engine_host.trimtab("exec", sleeper, "/no/such/program")
    assert missing.returncode != 0
    assert "/no/such/program" in missing.stderr
    assert_has_terminal(engine_host, sleeper)


def assert_has_terminal(engine_host: engine_host.EngineHost, sleeper: str) -> None:
    """Assert that a command with a terminal has one, hears what is typed there, and gives its code."""
    ours, theirs = pty.openpty()
    script = "test -t 0 && echo ready; read line; echo got:$line; exit 9"
    words = engine_host.trimtab.command("exec", "-it", sleeper, "sh", "-c", script)
    process = subprocess.Popen(
        ["setsid", "--ctty", *words], env=engine_host.trimtab.environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        printed = b""
        while b"ready" not in printed:
            printed += os.read(ours, 4096)
        os.write(ours, b"hello\r")
        with contextlib.suppress(OSError):  # the other side hangs up
            while chunk := os.read(ours, 4096):
                printed += chunk
        assert b"got:hello" in printed
        assert process.wait(command.PATIENCE) == 9
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_logs__followed__come_as_they_are_written_and_end_with_the_container(engine_host) -> None:
    script = "echo one; echo two >&2; while ! test -e /tmp/go; do sleep 0.1; done; echo three"
    spec = f"command: [sh, -c, '{script}'], restart: {{policy: Never}}, mounts: [{{tmpfs: 1Mi, path: /tmp}}]"
    assert engine_host.trimtab("apply", engine_host.write(talker=spec)).returncode == 0
    command.assert_eventually(lambda: "two" in engine_host.trimtab("logs", "talker").stderr, "two lines")
    following = subprocess.Popen(
        engine_host.trimtab.command("logs", "-f", "talker"),
        env=engine_host.trimtab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert following.stdout is not None
    with following.stdout:
        assert following.stdout.readline() == b"one\n"
        assert engine_host.trimtab("exec", "talker", "sh", "-c", "> /tmp/go").returncode == 0
        assert following.stdout.read() == b"three\n"
    assert following.wait(command.PATIENCE) == 0


@pytest.mark.parametrize("engine_host", ["docker"], indirect=True)
def test_run__beside_swarm__neither_disturbs_the_other(engine_host) -> None:
    folder = engine_host.write(web=SLEEP)
    with engine_host.trimtab.running(folder) as agent:
        agent.says("everything is as declared")
        before = engine_host.runs()
        engine_host.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        try:
            words = ("--detach", "--name", "theirs", "--no-resolve-image", "--stop-grace-period", "0s")
            reference = engine_host.trimtab.output("observe")["observed"]["images"][0]["reference"]
            engine_host.docker("service", "create", *words, reference, "sleep", "600")
            command.assert_eventually(lambda: len(engine_host.runs()) == 2, "the service's task runs")
            task = next(name for name in engine_host.runs() if name.startswith("theirs."))
            assert engine_host.trimtab("plan", folder).stdout == "Nothing to change.\n"
            os.kill(engine_host.runs()["web"][1], signal.SIGKILL)
            agent.assert_shows('trimtab_container_restarts_total{name="web",reason="exit"}', 1.0)
            agent.runs("web")
            assert set(engine_host.runs()) == {"web", task}
            assert engine_host.runs()["web"][0] == before["web"][0]
            assert "theirs" not in agent.log
        finally:
            engine_host.docker("swarm", "leave", "--force")
        command.assert_eventually(lambda: set(engine_host.runs()) == {"web"}, "the service is gone with the swarm")
        assert engine_host.trimtab("plan", folder).stdout == "Nothing to change.\n"
