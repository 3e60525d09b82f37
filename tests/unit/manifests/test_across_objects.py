"""What is wrong of manifests as a set: each check, with the whole line that people see."""

import base64

import pytest

from agent.manifests import pipeline

HEAD = "apiVersion: trimtab.dev/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n"
SECRET = "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {{name: {}}}\n{}\n"


def container(name: str, spec: str) -> str:
    """Return a Container, whose spec is in line 4."""
    return HEAD.format("Container", name, f"{{image: x, {spec}}}")


def network(name: str, spec: str = "") -> str:
    """Return a Network, whose spec is in line 4."""
    return HEAD.format("Network", name, f"{{{spec}}}")


def lines(*files: str) -> list[str]:
    """Return the problems of files a.yaml, b.yaml and so on, without the common end of their names."""
    manifests = [
        pipeline.ManifestFile(f"{chr(97 + number)}.yaml", "/srv", text.encode()) for number, text in enumerate(files)
    ]
    return [str(problem).replace(".yaml:4", "", 1) for problem in pipeline.parse(manifests).problems]


def test_references__to_what_nobody_declares__are_told_with_what_is_declared() -> None:
    spec = (
        "networks: [a, {name: b}], mounts: [{tmpfs: 1Mi, path: /t}, {volume: dat, path: /d}], "
        "dependsOn: [db, {container: dc}]"
    )
    assert lines(container("web", spec), HEAD.format("Volume", "data", "{}")) == [
        "a:29: Network/a is not declared (declare a Network)",
        "a:32: Network/b is not declared (declare a Network)",
        "a:86: Volume/dat is not declared (did you mean data?)",
        "a:115: Container/db is not declared (declared are web)",
        "a:131: Container/dc is not declared (declared are web)",
    ]


def test_reference__to_an_image_that_nobody_declares__is_told() -> None:
    web = HEAD.format("Container", "web", "{image: {name: ap}}")
    assert lines(web) == ["a:22: Image/ap is not declared (declare an Image)"]
    app = HEAD.format("Image", "app", "{pull: {reference: x}}")
    assert lines(web, app) == ["a:22: Image/ap is not declared (did you mean app?)"]
    assert lines(web.replace("ap}", "app}"), app) == []


def test_image_reference__that_is_none__is_told_wherever_it_stands() -> None:
    message = (
        "no image reference: 'library/x y' is no name of a repository: lower-case letters, digits, . _ - and / "
        "(write registry/name:tag)"
    )
    web = HEAD.format("Container", "web", "{image: 'x y'}")
    image = HEAD.format("Image", "app", "{pull: {reference: 'x y'}}")
    assert lines(web, image) == [f"a:15: {message}", f"b:26: {message}"]


def test_mounts_and_networks__named_again__are_told_each_time() -> None:
    mount = "{tmpfs: 1Mi, path: /t%s}"
    assert lines(container("web", f"mounts: [{mount % ''}, {mount % '/'}, {mount % ''}]")) == [
        "a:70: two mounts at /t (spec.mounts[0] is there already)",
        "a:95: two mounts at /t (spec.mounts[1] is there already)",
    ]
    spec = "networks: [a, {name: b}, b, {name: a}, a]"
    assert lines(container("web", spec), network("a"), network("b")) == [
        "a:43: network b is named twice (remove one)",
        "a:46: network a is named twice (remove one)",
        "a:57: network a is named twice (remove one)",
    ]


WITHOUT = "ports cannot be published without a network (leave them out, or give it a network)"
INTERNAL = (
    "ports can only be published by a container in a network that is not internal (add another network, as bridge)"
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "networks: host, ports: ['1:1'], health: {liveness: {tcp: {port: 1}}}",
            [
                (
                    "a:41: ports cannot be published with network host "
                    "(leave them out: the program's own ports are the host's)"
                )
            ],
        ),
        ("networks: host, health: {liveness: {tcp: {port: 1}}}", []),
        (
            (
                "networks: none, ports: ['1:1'], "
                "health: {startup: {http: {port: 1}}, readiness: {tcp: {port: 1}}, liveness: {tcp: {port: 1}}}"
            ),
            [
                f"a:41: {WITHOUT}",
                "a:68: a startup probe by network needs one (use exec, or give it a network)",
                "a:98: a readiness probe by network needs one (use exec, or give it a network)",
                "a:126: a liveness probe by network needs one (use exec, or give it a network)",
            ],
        ),
        ("networks: none, health: {startup: {exec: [a]}, liveness: {exec: [a]}}", []),
        ("networks: none", []),
        ("networks: [], ports: ['1:1']", [f"a:39: {WITHOUT}"]),
        ("networks: bridge, ports: ['1:1'], health: {liveness: {tcp: {port: 1}}}", []),
        ("networks: [back]", []),
        ("networks: [back], ports: ['1:1']", [f"a:43: {INTERNAL}"]),
        ("networks: [back, {name: inner}], ports: ['1:1']", [f"a:58: {INTERNAL}"]),
        ("networks: [back, {name: outer}], ports: ['1:1']", []),
    ],
)
def test_network__that_ports_and_probes_need__is_asked_for(spec: str, expected: list[str]) -> None:
    others = (network("back", "internal: true"), network("inner", "internal: true"), network("outer"))
    assert lines(container("web", spec), *others) == expected


def test_default_network__that_is_declared_as_internal__publishes_nothing() -> None:
    assert lines(container("web", "ports: ['1:1']"), network("bridge", "internal: true")) == [f"a:25: {INTERNAL}"]


def test_dependencies__on_an_end_that_never_comes__are_told_each() -> None:
    spec = (
        "dependsOn: [{container: a, condition: Started}, {container: a, condition: Completed}, "
        "{container: b, condition: Completed}]"
    )
    for_ever = (
        "never completes: its restart.policy is Always (set restart.policy of Container/{} to OnFailure or Never)"
    )
    assert lines(container("web", spec), container("a", ""), container("b", "")) == [
        f"a:92: Container/a {for_ever.format('a')}",
        f"a:130: Container/b {for_ever.format('b')}",
    ]


def test_dependencies__that_go_round__are_told_once_as_a_walk() -> None:
    a, b = container("a", "dependsOn: [b]"), container("b", "dependsOn: [a]")
    assert lines(container("web", "dependsOn: [a]"), a, b) == [
        "b:29: dependsOn goes round: a -> b -> a (take one of them out)"
    ]


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (
            ["['80:1', '80:2/udp', '127.0.0.1:80:3', '80:4']"],
            [
                "a:46: host port 80/tcp is claimed twice (Container/a claims it in a.yaml:4)",
                "a:64: host port 80/tcp is claimed twice (Container/a claims it in a.yaml:4)",
            ],
        ),
        (
            ["['127.0.0.1:80:1']", "['127.0.0.2:80:1', '81:1']", "['82:1', '80:1']", "['127.0.0.2:80:1']"],
            [
                "c:34: host port 80/tcp is claimed twice (Container/a claims it in a.yaml:4)",
                "d:26: host port 80/tcp is claimed twice (Container/b claims it in b.yaml:4)",
            ],
        ),
        (
            ["['53:1/udp']", "[{host: 53, container: 9, protocol: udp, address: 127.0.0.1}]", "['53:1']"],
            ["b:26: host port 53/udp is claimed twice (Container/a claims it in a.yaml:4)"],
        ),
        (
            ["['127.0.0.1:80:1']", "['80:1']", "['80:1']"],
            [
                "b:26: host port 80/tcp is claimed twice (Container/a claims it in a.yaml:4)",
                "c:26: host port 80/tcp is claimed twice (Container/b claims it in b.yaml:4)",
            ],
        ),
        (["['127.0.0.1:80:1', '127.0.0.2:80:1']"], []),
    ],
)
def test_host_port__claimed_twice__is_told_where_it_is_claimed_again(claims: list[str], expected: list[str]) -> None:
    files = [container(chr(97 + number), f"ports: {ports}") for number, ports in enumerate(claims)]
    assert lines(*files) == expected


def test_subnets__that_overlap__are_told_with_their_owner() -> None:
    files = [
        network("a", "subnets: [10.9.0.0/16]"),
        network("b", "subnets: [10.8.0.0/24, 10.9.3.0/24]"),
        network("c", "subnets: [10.0.0.0/8]"),
        network("d", "subnets: [11.8.0.0/24, 10.8.0.0/24]"),
        network("e", "subnets: [12.8.0.0/24, 12.8.0.0/25, {subnet: 12.8.1.0/24}]"),
    ]
    assert lines(*files) == [
        "b:31: subnet 10.9.3.0/24 overlaps (Network/a has 10.9.0.0/16 in a.yaml: choose another range)",
        "c:18: subnet 10.0.0.0/8 overlaps (Network/a has 10.9.0.0/16 in a.yaml: choose another range)",
        "d:31: subnet 10.8.0.0/24 overlaps (Network/b has 10.8.0.0/24 in b.yaml: choose another range)",
        "e:31: subnet 12.8.0.0/25 overlaps (Network/e has 12.8.0.0/24 in e.yaml: choose another range)",
    ]
    within = [network("n", "subnets: [10.8.0.0/24]"), network("o", "subnets: [10.8.0.0/25]")]
    assert lines(container("web", ""), *within) == [
        "c:18: subnet 10.8.0.0/25 overlaps (Network/n has 10.8.0.0/24 in b.yaml: choose another range)"
    ]


RESERVED = "is the network's own or the gateway's in Network/a (choose another one)"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.9.0.0", RESERVED),
        ("10.9.0.1", RESERVED),
        ("10.9.0.2", ""),
        ("10.9.0.254", ""),
        ("10.9.0.255", RESERVED),
        ("10.8.0.0", RESERVED),
        ("10.8.0.1", ""),
        ("10.8.0.9", RESERVED),
        ("10.8.0.255", RESERVED),
        ("10.7.0.1", "is not in Network/a's subnets (choose one in 10.9.0.0/24, 10.8.0.0/24)"),
    ],
)
def test_fixed_address__is_one_that_a_container_may_have(address: str, expected: str) -> None:
    web = container("web", f"networks: [b, {{name: c}}, {{name: a, ipv4: {address}}}]")
    subnets = network("a", "subnets: [10.9.0.0/24, {subnet: 10.8.0.0/24, gateway: 10.8.0.9}]")
    assert lines(web, subnets, network("b"), network("c")) == (
        [f"a:59: address {address} {expected}"] if expected else []
    )


def test_fixed_address__without_a_network_that_has_subnets__says_which() -> None:
    def web(name: str) -> str:
        return container("web", f"networks: [{{name: {name}, ipv4: 10.9.0.9}}]")

    assert lines(web("bridge")) == [
        (
            "a:50: address 10.9.0.9 needs a network with subnets, and Network/bridge is not declared "
            "(declare one, and name it here)"
        )
    ]
    assert lines(web("b"), network("b")) == [
        "a:45: address 10.9.0.9 needs a network with subnets, and Network/b has none (give Network/b subnets)"
    ]
    assert lines(web("b")) == ["a:29: Network/b is not declared (declare a Network)"]


def test_fixed_address__claimed_twice__is_told_once_for_each_network() -> None:
    a, b = (f"{{name: {name}, ipv4: 10.{number}.0.9}}" for number, name in ((8, "a"), (9, "b")))
    networks = [network("a", "subnets: [10.8.0.0/24]"), network("b", "subnets: [10.9.0.0/24]")]
    first, second = container("one", f"networks: [{a}, {b}]"), container("two", f"networks: [{b}]")
    assert lines(first, second, *networks) == [
        "b:45: address 10.9.0.9 is claimed twice (Container/one claims it in a.yaml)"
    ]


def test_name__of_three_objects__is_told_for_the_second_and_the_third() -> None:
    volume = HEAD.format("Volume", "data", "{}")
    again = "duplicate Volume/data (it is declared in a.yaml:3 already: rename or remove one)"
    assert lines(volume, volume, volume, network("data")) == [f"b.yaml:3:18: {again}", f"c.yaml:3:18: {again}"]


@pytest.mark.parametrize(("name", "is_sound"), [("N" * 10, True), ("N" * 11, False)])
def test_variable_of_a_secret__as_long_as_linux_takes__counts_its_own_name(name: str, is_sound: bool) -> None:
    secret = SECRET.format("db", f"stringData: {{key: {'x' * (128 * 1024 - 12)}}}")
    assert lines(container("web", f"env: {{{name}: {{secret: db, key: key}}}}"), secret) == (
        [] if is_sound else ["a:55: Secret/db has a value of key that is too long for a variable (make it shorter)"]
    )


def test_variable_of_a_secret__without_such_a_value__is_told_with_the_values_that_there_are() -> None:
    secret = SECRET.format("db", "stringData: {user: a, password: b}")
    assert lines(container("web", "env: {A: {secret: db, key: zzzzz}}"), secret) == [
        "a:45: Secret/db has no value of zzzzz (it has user, password)"
    ]


@pytest.mark.parametrize("value", ["/w==", "YQBi"])
def test_variable_of_a_secret__that_is_no_text__is_told(value: str) -> None:
    secret = SECRET.format("db", f"data: {{key: {value}}}")
    assert lines(container("web", "env: {A: {secret: db, key: key}}"), secret) == [
        "a:45: Secret/db has a value of key that is no text: no variable can have it (correct it)"
    ]


def test_logins__in_either_form__are_told_where_they_stand() -> None:
    logins = '{"auths": {"r.example": {"username": "a", "password": "b"}}}'
    plain = f"type: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: '{logins}'}}"
    data = base64.b64encode(logins.encode()).decode()
    encoded = f"type: kubernetes.io/dockerconfigjson\ndata: {{.dockerconfigjson: {data}}}"
    files = [SECRET.format("one", encoded), SECRET.format("three", plain), SECRET.format("two", encoded)]
    assert lines(*files) == [
        "b.yaml:5:13: a second login for r.example (Secret/one in a.yaml has one: remove one of them)",
        "c.yaml:5:7: a second login for r.example (Secret/one in a.yaml has one: remove one of them)",
    ]


def test_objects__beside_one_that_is_wrong_by_itself__are_not_looked_at_together() -> None:
    broken = f"{HEAD.format('Volume', 'data', '{sizee: 1}')}"
    assert lines(broken, container("web", "networks: [a]")) == [
        "a:8: unknown field spec.sizee (did you mean size?)",
    ]
