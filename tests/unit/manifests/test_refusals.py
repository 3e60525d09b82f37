"""What could never work is refused before anything is done, with its place and the way out."""

import signal

import pytest

from agent.kit import unix_signals
from agent.manifests import pipeline
from agent.oci import capabilities

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n"


def printed_problems(*documents: str) -> list[str]:
    """Return the problems of documents of one file, without the file's name."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", "---\n".join(documents).encode())])
    return [str(problem).removeprefix("a.yaml:") for problem in parsed.problems]


def of(spec: str, *others: str, kind: str = "Container") -> list[str]:
    """Return the problems of one object, whose spec is in line 5, and of others behind it."""
    return printed_problems(HEAD.format(kind=kind, name="x", spec=spec), *others)


@pytest.mark.parametrize(
    ("subnet", "why"),
    [
        ("127.5.0.0/24", "127.0.0.0/8 is the loopback's"),
        ("224.0.0.0/24", "224.0.0.0/4 is for multicast"),
        ("169.254.10.0/24", "169.254.0.0/16 is for link-local addresses"),
        ("250.0.0.0/24", "240.0.0.0/4 is reserved"),
        ("0.1.0.0/24", "0.0.0.0/8 is no network's"),
        ("0.0.0.0/0", "0.0.0.0/8 is no network's"),
        ("128.0.0.0/2", "169.254.0.0/16 is for link-local addresses"),
    ],
)
def test_subnet__in_which_no_container_can_be__is_refused(subnet: str, why: str) -> None:
    way_out = "(choose from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16)"
    message = f"must be addresses that containers can have: {why} {way_out}"
    assert of(f"subnets: [{subnet}]", kind="Network") == [f"5:13: spec.subnets[0] {message}"]
    assert of(f"subnets: [{{subnet: {subnet}}}]", kind="Network") == [f"5:22: spec.subnets[0].subnet {message}"]


@pytest.mark.parametrize("gateway", ["10.9.0.0", "10.9.0.255"])
def test_gateway__that_no_host_can_have__is_refused(gateway: str) -> None:
    assert of(f"subnets: [{{subnet: 10.9.0.0/24, gateway: {gateway}}}]", kind="Network") == [
        (
            "5:44: spec.subnets[0].gateway must not be the network's or the broadcast address of 10.9.0.0/24 "
            "(see trimtab explain network.spec.subnets.gateway)"
        )
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{image: x, stop: {signal: SIGFOO}}",
            "spec.stop.signal must be a signal like SIGTERM, TERM, 15 or SIGRTMIN+3, and is 'SIGFOO' (see kill -l)",
        ),
        ("{image: x, stop: {signal: '0'}}", "spec.stop.signal must be a signal like SIGTERM, TERM, 15 or SIGRTMIN+3,"),
        ("{image: x, stop: {signal: '65'}}", "spec.stop.signal must be a signal like SIGTERM,"),
        ("{image: x, stop: {signal: SIGRTMIN+31}}", "spec.stop.signal must be a signal like SIGTERM,"),
        (
            "{image: x, security: {capabilities: {add: [NOPE]}}}",
            (
                "spec.security.capabilities.add[0] must be a capability like NET_ADMIN, or ALL, and is 'NOPE' "
                "(see capabilities(7))"
            ),
        ),
        (
            "{image: x, security: {capabilities: {drop: [ALL, cap_nope]}}}",
            (
                "spec.security.capabilities.drop[1] must be a capability like NET_ADMIN, or ALL, and is 'cap_nope' "
                "(see capabilities(7))"
            ),
        ),
        (
            "{image: x, security: {user: 'a b:c:d'}}",
            "spec.security.user must be user or user:group, by name or number, like 1000:1000, and is 'a b:c:d' (",
        ),
        (
            "{image: x, security: {user: '0:4294967296'}}",
            "spec.security.user must have numbers of 2147483647 at most, and is '0:4294967296' (",
        ),
        (
            "{image: x, mounts: [{tmpfs: 1Mi, path: /}]}",
            "spec.mounts[0].path must not be /: that is the image's (mount into a directory of it)",
        ),
        ("{image: x, mounts: [{tmpfs: 1Mi, path: //./}]}", "spec.mounts[0].path must not be /: that is the image's ("),
        (
            "{image: x, mounts: [{tmpfs: 1Mi, path: /y/../y}]}",
            "spec.mounts[0].path must not go up by .., and is '/y/../y' (write where it ends up)",
        ),
        (
            "{image: x, mounts: [{tmpfs: 1Mi, path: /proc}]}",
            "spec.mounts[0].path must not be /proc: every container has its own (mount below it, or leave it out)",
        ),
        ("{image: x, mounts: [{bind: /sys, path: /sys/}]}", "spec.mounts[0].path must not be /sys: every container"),
        ("{image: x, mounts: [{bind: /dev, path: /dev}]}", "spec.mounts[0].path must not be /dev: every container"),
        ("{image: x, mounts: [{tmpfs: 0, path: /x}]}", "spec.mounts[0].tmpfs must be more than nothing, and is 0 ("),
        (
            "{image: x, restart: {backoff: {initial: 0s, max: 0s}}}",
            "spec.restart.backoff.initial must be longer than nothing (",
        ),
        (
            "{image: x, restart: {backoff: {initial: 2s, max: 1500ms}}}",
            "spec.restart.backoff.max must not be shorter than initial, which is 2s (",
        ),
        (
            "{image: x, restart: {backoff: {max: 500ms}}}",
            "spec.restart.backoff.max must not be shorter than initial, which is 1s (",
        ),
        (
            "{image: x, resources: {memory: 64Mi, memoryReservation: 65Mi}}",
            "spec.resources.memoryReservation must not be more than memory (",
        ),
        ("{image: x, resources: {memory: 1Mi}}", "spec.resources.memory must be 6Mi at least, and is '1Mi' ("),
        ("{image: x, resources: {pids: 0}}", "spec.resources.pids must be 1 at least, and is 0 ("),
        (
            "{image: x, health: {liveness: {http: {port: 1, headers: {'X Y': z}}}}}",
            "a name in spec.health.liveness.http.headers must be a header's name, like X-Token, and is a text (",
        ),
        (
            '{image: x, health: {liveness: {http: {port: 1, headers: {X: "a\\r\\nY: z"}}}}}',
            "spec.health.liveness.http.headers.X must be a line without control characters, and is a text (",
        ),
        ("{image: x, ports: ['0:80']}", "spec.ports[0] must have ports between 1 and 65535, and is '0:80' ("),
        (
            "{image: x, ports: [{host: 1, container: 2, address: 1.2.3}]}",
            "spec.ports[0].address must be an IPv4 address like 10.90.0.1, and is '1.2.3' (",
        ),
    ],
)
def test_value__that_could_never_work__is_refused(spec: str, expected: str) -> None:
    lines = of(spec)
    assert [line.split(": ", 1)[1].startswith(expected) for line in lines] == [True], lines


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{image: x, networks: [], ports: ['1:1']}", "5:35: ports cannot be published without a network (leave"),
        ("{image: x, networks: none, ports: ['1:1']}", "5:37: ports cannot be published without a network (leave"),
        ("{image: x, networks: host, ports: ['1:1']}", "5:37: ports cannot be published with network host (leave"),
        (
            "{image: x, networks: [back], ports: ['1:1']}",
            "5:39: ports can only be published by a container in a network that is not internal (add another network",
        ),
        (
            "{image: x, networks: [], health: {readiness: {http: {port: 1}}}}",
            "5:48: a readiness probe by network needs one (use exec, or give it a network)",
        ),
        (
            "{image: x, networks: [], health: {liveness: {tcp: {port: 1}}}}",
            "5:47: a liveness probe by network needs one (use exec, or give it a network)",
        ),
        (
            "{image: x, networks: [{name: bridge, ipv4: 10.9.0.9}]}",
            "5:46: address 10.9.0.9 needs a network with subnets, and Network/bridge is not declared (declare one",
        ),
        (
            "{image: x, mounts: [{tmpfs: 1Mi, path: /y}, {tmpfs: 1Mi, path: /./y//}]}",
            "5:66: two mounts at /y (spec.mounts[0] is there already)",
        ),
    ],
)
def test_container__that_cannot_be_reached_as_it_asks__is_refused(spec: str, expected: str) -> None:
    lines = of(spec, HEAD.format(kind="Network", name="back", spec="internal: true"))
    assert [line.startswith(expected) for line in lines] == [True], lines


def test_ports__in_one_network_that_leads_out__are_published() -> None:
    back = HEAD.format(kind="Network", name="back", spec="internal: true")
    assert of("{image: x, networks: [back, bridge], ports: ['1:1']}", back) == []
    assert of("{image: x, networks: [], health: {liveness: {exec: [a]}}}") == []


@pytest.mark.parametrize("policy", ["Always", "UnlessStopped"])
def test_waiting_for_an_end__of_what_is_always_started_again__is_refused(policy: str) -> None:
    job = HEAD.format(kind="Container", name="job", spec=f"{{image: x, restart: {{policy: {policy}}}}}")
    assert of("{image: x, dependsOn: [{container: job, condition: Completed}]}", job) == [
        (
            f"5:54: Container/job never completes: its restart.policy is {policy} "
            "(set restart.policy of Container/job to OnFailure or Never)"
        )
    ]
    assert of("{image: x, dependsOn: [{container: job, condition: Started}]}", job) == []


@pytest.mark.parametrize("policy", ["OnFailure", "Never"])
def test_waiting_for_an_end__of_what_ends_for_good__is_sound(policy: str) -> None:
    job = HEAD.format(kind="Container", name="job", spec=f"{{image: x, restart: {{policy: {policy}}}}}")
    assert of("{image: x, dependsOn: [{container: job, condition: Completed}]}", job) == []


def test_labels_of_an_image__are_refused_since_nothing_would_come_of_them() -> None:
    text = HEAD.format(kind="Image", name="x, labels: {a: b}", spec="pull: {reference: nginx}")
    assert printed_problems(text) == [
        "3:29: metadata.labels is not built yet (images cannot be labelled: leave it out)",
    ]


@pytest.mark.parametrize(
    "spec", ["{tmpfs: 1, path: /dev/shm}", "{bind: /proc, path: /host/proc}", "{bind: /, path: /h}"]
)
def test_mount__below_or_of_what_the_kernel_shows__is_sound(spec: str) -> None:
    assert of(f"{{image: x, mounts: [{spec}]}}") == []


def test_signals__the_table__is_what_linux_has() -> None:
    assert {f"SIG{name}" for name in unix_signals.NAMES} == set(signal.Signals.__members__)
    assert {number for number in range(100) if unix_signals.exists(str(number))} == set(
        map(int, signal.valid_signals())
    )


@pytest.mark.parametrize("name", ["SIGTERM", "TERM", "sigquit", "15", "64", "SIGRTMIN", "SIGRTMIN+3", "RTMAX-30"])
def test_signal__in_each_spelling__is_sound(name: str) -> None:
    assert of(f"{{image: x, stop: {{signal: '{name}'}}}}") == []


def test_capabilities__the_table__is_complete_and_holds_the_defaults() -> None:
    assert len(capabilities.BY_NUMBER) == len(set(capabilities.BY_NUMBER)) == 41
    assert capabilities.BY_NUMBER.index("SYS_ADMIN") == 21
    assert set(capabilities.DEFAULT) < set(capabilities.BY_NUMBER)
    assert of("{image: x, security: {capabilities: {add: [ALL, cap_bpf, Net_Admin, CHOWN]}}}") == []
