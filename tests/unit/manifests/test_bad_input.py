"""Every mistake is told with its place and the way out, as the line that people see."""

import pathlib

import pytest

from agent.manifests import pipeline

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
CONTAINER = HEAD.format(kind="Container", name="web")


def printed_problems(*files: bytes | str) -> list[str]:
    """Parse files named a.yaml, b.yaml ... and give the problems as they print."""
    manifest_files = [
        pipeline.ManifestFile(f"{chr(97 + n)}.yaml", "/srv", data.encode() if isinstance(data, str) else data)
        for n, data in enumerate(files)
    ]
    return [str(problem) for problem in pipeline.parse(manifest_files).problems]


def network(name: str, subnet: str) -> str:
    """Return a network with one subnet."""
    return HEAD.format(kind="Network", name=name) + f"spec: {{subnets: [{subnet}]}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", "a.yaml:1:5: this is not YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: 1", "a.yaml:2:1: this is not YAML: while scanning for the next token found character that cannot"),
        ("a: 1\na: 2", "a.yaml:2:1: 'a' is set twice (it is set in line 1 already: remove one)"),
        ("- 1\n- 2", "a.yaml:1:1: a manifest must be a mapping (begin with apiVersion: trimtab.dev/v1)"),
        ("? [a]\n: 1", "a.yaml:1:3: a key must be a text (quote it where it is meant as one)"),
        (
            "a: !!python/object/apply:os.system [x]",
            "a.yaml:1:4: what begins with ! is a tag, and none is supported (quote it where it is meant as a text",
        ),
        ("a: &x {b: 1}\nc: {<<: *x}", "a.yaml:2:5: merge keys (<<) are not supported (write the fields out)"),
        ("kind: Container", "a.yaml:1:1: apiVersion is missing (begin with apiVersion: trimtab.dev/v1)"),
        ("apiVersion: v1\nkind: Pod", "a.yaml:1:13: apiVersion must be trimtab.dev/v1"),
        ("services: {web: {}}", "a.yaml:1:1: this is a Compose file: they are not built yet"),
        ("apiVersion: trimtab.dev/v1", "a.yaml:1:1: kind is missing"),
        (
            "apiVersion: trimtab.dev/v1\nkind: Contaner",
            "a.yaml:2:7: kind 'Contaner' is unknown (did you mean Container?)",
        ),
        ("apiVersion: trimtab.dev/v1\nkind: Config", "a.yaml:2:7: kind Config is not built yet (known are Container,"),
        (CONTAINER, "a.yaml:1:1: spec is missing (see trimtab explain container)"),
        (CONTAINER + "spec: {imag: x}", "a.yaml:4:8: unknown field spec.imag (did you mean image?)"),
        (
            CONTAINER + "spec: {image: x, zzz: 1}",
            "a.yaml:4:18: unknown field spec.zzz (fields here are image, command,",
        ),
        (CONTAINER + "spec: {image: [x]}", "a.yaml:4:15: spec.image must be a"),
        (CONTAINER + "spec: {image: x, command: ls}", "a.yaml:4:27: spec.command must be a list, and is a text (write"),
        (
            CONTAINER + "spec: {image: x, resources: {pids: many}}",
            "a.yaml:4:36: spec.resources.pids must be a whole number",
        ),
        (
            CONTAINER + "spec: {image: x, resources: {memory: 1x}}",
            "a.yaml:4:38: spec.resources.memory must be a quantity",
        ),
        (
            CONTAINER + "spec: {image: x, resources: {cpus: 0}}",
            "a.yaml:4:36: spec.resources.cpus must be a number of cores",
        ),
        (
            CONTAINER + "spec: {image: x, stop: {gracePeriod: soon}}",
            "a.yaml:4:38: spec.stop.gracePeriod must be a duration",
        ),
        (
            CONTAINER + "spec: {image: x, restart: {policy: Maybe}}",
            "a.yaml:4:36: spec.restart.policy must be 'Always',",
        ),
        (CONTAINER + "spec: {image: x, ports: [80]}", "a.yaml:4:26: spec.ports[0] must be written as 8080:80,"),
        (
            CONTAINER + "spec: {image: x, ports: ['1.2.3.999:1:2']}",
            "a.yaml:4:26: spec.ports[0] must be an IPv4 address",
        ),
        (CONTAINER + "spec: {image: x, ports: ['99999:80']}", "a.yaml:4:26: spec.ports[0] must have ports between 1"),
        (
            CONTAINER + "spec: {image: x, mounts: [{path: /x}]}",
            "a.yaml:4:27: spec.mounts[0] must have exactly one of volume,",
        ),
        (
            CONTAINER + "spec: {image: x, mounts: [{tmpfs: 1Mi, path: x}]}",
            "a.yaml:4:46: spec.mounts[0].path must be an absolute path, like /srv/data, and is 'x'",
        ),
        (CONTAINER + "spec: {image: 'A B'}", "a.yaml:4:15: no image reference: 'library/A B' is no name of"),
        (
            CONTAINER + "spec: {image: 'x@sha256:1'}",
            "a.yaml:4:15: no image reference: 'x@sha256:1': 'sha256:1' is no digest",
        ),
        (HEAD.format(kind="Volume", name="Data_1"), "a.yaml:3:18: metadata.name must be a name of"),
        (
            HEAD.format(kind="Network", name="n") + "spec: {subnets: [10.0.0.300/8]}",
            "a.yaml:4:18: spec.subnets[0] must be an",
        ),
        (
            HEAD.format(kind="Image", name="n") + "spec: {}",
            "a.yaml:4:7: spec must have exactly one of pull, archive and build",
        ),
        (HEAD.format(kind="Image", name="n") + "spec: {pull: {reference: '::'}}", "a.yaml:4:26: no image reference"),
    ],
)
def test_mistake__is_told_with_place_and_way_out(text: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in printed_problems(text)), printed_problems(text)


@pytest.mark.parametrize(
    ("spec", "position"),
    [
        ("image: x, env: {A: {config: app, secret: db, key: a}}", "spec.env.A.config is not built yet (name a secret"),
        ("image: x, mounts: [{secret: tls, path: /x}]", "spec.mounts[0].secret is not built yet (use env: {NAME"),
        (
            "image: x, update: {strategy: StartFirst}",
            "spec.update.strategy must be Recreate: StartFirst is not built yet",
        ),
        ("image: x, update: {autoRollback: true}", "spec.update.autoRollback must be false: rolling back is not built"),
        (
            "image: x, update: {progressDeadline: 2m}",
            "4:45: spec.update.progressDeadline is not built yet (leave it out)",
        ),
    ],
)
def test_field_that_is_not_built__is_refused_and_says_so(spec: str, position: str) -> None:
    assert any(position in line for line in printed_problems(CONTAINER + f"spec: {{{spec}}}"))


@pytest.mark.parametrize(
    ("pull", "expected"),
    [
        ("policy: Sometimes", "a.yaml:4:43: spec.pull.policy must be "),
        ("policy: Never, update: {}", "spec.pull.update must not be with policy Never"),
        ("update: {track: newest}", "spec.pull.update.track must be tag or a range of versions: 'newest' is no range"),
        (
            "update: {track: ''}",
            "spec.pull.update.track must not be empty (see trimtab explain image.spec.pull.update.track",
        ),
        ("update: {interval: 10ms}", "spec.pull.update.interval must be 1s at least"),
        ("update: {every: 1m}", "spec.pull.update"),
    ],
)
def test_pull__that_cannot_be__is_refused(pull: str, expected: str) -> None:
    spec = f"{{pull: {{reference: 'app:1', {pull}}}}}"
    text = f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: a}}\nspec: {spec}"
    assert any(expected in line for line in printed_problems(text)), printed_problems(text)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("dockerfile: D, dockerfileInline: FROM a", "spec.build.dockerfile must not be beside dockerfileInline"),
        ("network: bridge", "spec.build.network must be"),
        ("platform: linux", "spec.build.platform must be os/arch"),
        ("args: {A B: x}", "must be a name, like VERSION"),
        ("context: ''", "spec.build.context must be a directory"),
        ("file: D", "unknown field spec.build.file"),
        ("cacheFrom: ['A b']", "spec.build.cacheFrom must name caches: "),
        (
            "cacheTo: [type=local]",
            "spec.build.cacheTo must name caches: type=local is not built: a cache lies in a registry",
        ),
        (
            "context: https://example.org/app.git",
            "must be a directory on the host, not a URL (build it by trimtab build URL,",
        ),
        (
            'dockerfileInline: "FROM a\\nCOPPY b c"',
            "has a mistake in its line 2: COPPY is no instruction (did you mean COPY?)",
        ),
    ],
)
def test_build__mistakes__are_told(build: str, expected: str) -> None:
    text = f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: a}}\nspec: {{build: {{{build}}}}}"
    assert any(expected in line for line in printed_problems(text)), printed_problems(text)


@pytest.mark.parametrize("pull", ["policy: Always", "update: {}"])
def test_pull__what_has_a_digest__does_not_move(pull: str) -> None:
    spec = f"{{pull: {{reference: 'app@sha256:{'0' * 64}', {pull}}}}}"
    text = f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: a}}\nspec: {spec}"
    assert any("must not ask again for what has a digest" in line for line in printed_problems(text)), printed_problems(
        text
    )


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        *(
            ("Image", f"{{build: {{{field}: x}}}}", f": spec.build.{field} is not built yet ({hint})")
            for field, hint in (
                ("secrets", "build it by trimtab build --secret"),
                ("ssh", "build it by trimtab build --ssh"),
                ("additionalContexts", "build it by trimtab build --build-context"),
            )
        ),
        ("Network", "{driver: macvlan}", "macvlan is not built yet"),
        ("Network", "{ipv6: true}", "IPv6 is not built yet"),
        ("Network", "{subnets: ['fd00::/64']}", "IPv6 is not built yet"),
        ("Network", "{options: {a: b}}", ": spec.options is not built yet (leave it out)"),
        ("Volume", "{driver: nfs}", "nfs is not built yet"),
        ("Volume", "{size: 1Gi}", ": spec.size is not built yet (leave it out)"),
        ("Volume", "{seed: {}}", ": spec.seed is not built yet (leave it out)"),
        ("Volume", "{options: {}}", ": spec.options is not built yet (leave it out)"),
    ],
)
def test_kinds_field_that_is_not_built__is_refused_and_says_so(kind: str, spec: str, expected: str) -> None:
    assert any(expected in line for line in printed_problems(HEAD.format(kind=kind, name="x") + f"spec: {spec}"))


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Network", "{driver: ../../usr/sbin/reboot}", "spec.driver must be"),
        ("Volume", "{driver: /usr/sbin/reboot}", "spec.driver must be"),
        (
            "Container",
            "{image: x, sysctls: {kernel.shm_rmid_forced: 1+kernel.core_pattern=x}}",
            "unknown field spec.sysctls",
        ),
        ("Container", "{image: x, security: {sysctls: {a: b}}}", "unknown field spec.security.sysctls"),
        ("Container", "{image: x, runtime: /usr/sbin/reboot}", "unknown field spec.runtime"),
    ],
)
def test_what_would_reach_the_host__can_be_named_by_no_manifest(kind: str, spec: str, expected: str) -> None:
    lines = printed_problems(HEAD.format(kind=kind, name="x") + f"spec: {spec}")
    assert any(expected in line for line in lines), lines


def test_annotation_of_ours__is_refused() -> None:
    text = CONTAINER.replace("{name: web}", "{name: web, annotations: {trimtab.dev/hosts: x, trimtab.dev/y: x}}")
    lines = printed_problems(text + "spec: {image: x}")
    assert [line.split(": ", 1)[1] for line in lines] == [
        "metadata.annotations trimtab.dev/hosts is not built yet (leave it out)",
        "metadata.annotations trimtab.dev/y is not known: that prefix is the agent's own (leave it out)",
    ]


def test_binary_and_damaged_files__are_told() -> None:
    assert printed_problems(b"\x7fELF\0\0") == [
        "a.yaml:1:5: the file has a NUL byte (is it a binary file? only *.yaml, *.yml and *.json are read as manifests)"
    ]
    assert printed_problems(b"a: \xff\xfe") == ["a.yaml:1:4: the file is not UTF-8 (save it as UTF-8)"]
    assert printed_problems(b"a: 1\nb: \x07") == [
        r"a.yaml:2:4: the file has the control character '\x07' (is it a binary file? remove it otherwise)"
    ]
    assert printed_problems(b"x" * (8 * 1024 * 1024 + 1)) == ["a.yaml:1:1: the file is larger than 8 MiB (split it)"]


def test_bombs__are_told_and_end_soon() -> None:
    doubled = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    assert (
        "the file has too many values, aliases counted wherever they are used (split it)"
        in printed_problems(doubled)[0]
    )
    assert "nested deeper than 64" in printed_problems("[" * 100 + "]" * 100)[0]
    for deep in ("[" * 100_000, "{a: " * 50_000, "- " * 100_000, "".join(" " * n + "a:\n" for n in range(2000))):
        assert "nested deeper than 64" in printed_problems(deep)[0]


def test_empty_documents__are_nothing() -> None:
    assert printed_problems("", "---\n---\n", "# only a remark\n") == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            [HEAD.format(kind="Volume", name="x"), HEAD.format(kind="Volume", name="x")],
            "b.yaml:3:18: duplicate Volume/x (it is declared in a.yaml:3 already: rename or remove one)",
        ),
        ([CONTAINER + "spec: {image: {name: app}}"], "a.yaml:4:22: Image/app is not declared (declare an Image)"),
        (
            [CONTAINER + "spec: {image: x, networks: [shp]}", network("shop", "10.9.0.0/24")],
            "a.yaml:4:29: Network/shp is not declared (did you mean shop?)",
        ),
        ([CONTAINER + "spec: {image: x, mounts: [{volume: v, path: /v}]}"], "a.yaml:4:36: Volume/v is not declared"),
        ([CONTAINER + "spec: {image: x, dependsOn: [{container: db}]}"], "a.yaml:4:42: Container/db is not declared"),
        ([CONTAINER + "spec: {image: x, dependsOn: [db]}"], "a.yaml:4:30: Container/db is not declared"),
        (
            [CONTAINER + "spec: {image: x, dependsOn: [{container: web}]}"],
            "a.yaml:4:29: dependsOn goes round: web -> web (take one of them out)",
        ),
        (
            [
                CONTAINER + "spec: {image: x, ports: ['80:80']}",
                CONTAINER.replace("web", "zzz") + "spec: {image: x, ports: ['127.0.0.1:80:8080']}",
            ],
            "b.yaml:4:26: host port 80/tcp is claimed twice (Container/web claims it in a.yaml:4)",
        ),
        (
            [network("a", "10.9.0.0/16"), network("b", "10.9.3.0/24")],
            "b.yaml:4:18: subnet 10.9.3.0/24 overlaps (Network/a has 10.9.0.0/16 in a.yaml: choose another range)",
        ),
        (
            [CONTAINER + "spec: {image: x, mounts: [{tmpfs: 1Mi, path: /x}, {bind: /b, path: /x/}]}"],
            "a.yaml:4:68: two mounts at /x (spec.mounts[0] is there already)",
        ),
        (
            [CONTAINER + "spec: {image: x, networks: [a, a]}", network("a", "10.9.0.0/16")],
            "a.yaml:4:32: network a is named twice (remove one)",
        ),
        (
            [CONTAINER + "spec: {image: x, networks: none, ports: ['1:1']}"],
            "a.yaml:4:41: ports cannot be published with",
        ),
        (
            [CONTAINER + "spec: {image: x, networks: none, health: {liveness: {tcp: {port: 1}}}}"],
            "a.yaml:4:53: a liveness probe by network needs one (use exec, or give it a network)",
        ),
    ],
)
def test_mistake_across_objects__is_told_with_place_and_way_out(files: list[str], expected: str) -> None:
    assert any(line.startswith(expected) for line in printed_problems(*files)), printed_problems(*files)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.9.0.300", "spec.networks[0].ipv4 must be an IPv4 address like 10.90.0.1, and is '10.9.0.300'"),
        ("10.8.0.1", "is not in Network/a's subnets"),
        ("10.9.0.1", "is the network's own or the gateway's"),
        ("10.9.0.255", "is the network's own or the gateway's"),
    ],
)
def test_fixed_address__that_cannot_be__is_told(address: str, expected: str) -> None:
    document = CONTAINER + f"spec: {{image: x, networks: [{{name: a, ipv4: {address}}}]}}"
    assert any(expected in line for line in printed_problems(document, network("a", "10.9.0.0/24")))


def test_fixed_address__claimed_twice_or_without_subnets__is_told() -> None:
    document = CONTAINER + "spec: {image: x, networks: [{name: a, ipv4: 10.9.0.7}]}"
    lines = printed_problems(document, document.replace("web", "zzz"), network("a", "10.9.0.0/24"))
    assert lines == ["b.yaml:4:45: address 10.9.0.7 is claimed twice (Container/web claims it in a.yaml)"]
    lines = printed_problems(document, HEAD.format(kind="Network", name="a"))
    assert "needs a network with subnets, and Network/a has none" in lines[0]


@pytest.mark.parametrize(
    ("subnet", "expected"),
    [
        ("{subnet: 10.9.0.0/24, gateway: 10.8.0.1}", "4:49: spec.subnets[0].gateway must be inside of 10.9.0.0/24"),
        ("{subnet: 10.9.0.0/24, gateway: x}", "spec.subnets[0].gateway must be an IPv4 address like"),
        ("{subnet: 10.9.0.0/24, range: 10.8.0.0/25}", "4:47: spec.subnets[0].range must be inside of 10.9.0.0/24"),
        ("10.9.0.0/31", "must have room for a gateway and a container"),
    ],
)
def test_subnet__that_cannot_be__is_told(subnet: str, expected: str) -> None:
    assert any(expected in line for line in printed_problems(network("a", subnet)))


def test_probe__without_or_with_two_checks_or_no_rhythm__is_told() -> None:
    for probe, expected in (
        ("{}", "spec.health.liveness must have exactly one of exec, http and tcp"),
        ("{exec: [a], tcp: {port: 1}}", "spec.health.liveness must have exactly one of exec, http and tcp"),
        ("{exec: [a], period: 0s}", "spec.health.liveness.period must be longer than nothing"),
        ("{exec: [a], timeout: 0ms}", "spec.health.liveness.timeout must be longer than nothing"),
    ):
        text = CONTAINER + f"spec: {{image: x, health: {{liveness: {probe}}}}}"
        assert any(expected in line for line in printed_problems(text)), printed_problems(text)


def test_all_mistakes__are_told_at_once_in_order() -> None:
    lines = printed_problems("kind: x", CONTAINER + "spec: {image: x, a: 1, b: 2}")
    assert [line.split(": ")[0] for line in lines] == ["a.yaml:1:1", "b.yaml:4:18", "b.yaml:4:24"]


def test_quickstart__has_no_mistakes() -> None:
    path = pathlib.Path(__file__).parents[3] / "manifests" / "quickstart" / "quickstart.yaml"
    assert printed_problems(path.read_bytes()) == []
