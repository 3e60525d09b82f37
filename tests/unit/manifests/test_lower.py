"""What manifests mean: defaults, short forms, and what is added by itself."""

import json

import pytest
import yaml

from agent.manifests import explain, lower, pipeline, registry, schema
from agent.model import container, external_input, health, image, network, state, volume
from agent.model.key import Kind

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def lowered(*documents: str, states: external_input.Inputs | None = None) -> state.DesiredState:
    """Lower documents of one file in /srv/site."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv/site", "---\n".join(documents).encode())])
    assert parsed.problems == ()
    return pipeline.lower(parsed, "r1", states or {})


def lowered_container(spec: str, *others: str) -> container.ContainerConfig:
    """Lower one container."""
    return lowered(HEAD.format(kind="Container", name="web", spec=spec), *others).containers[0]


@pytest.mark.parametrize("kind", registry.MODELS)
def test_kind__with_a_model__is_lowered_by_a_row(kind: str) -> None:
    assert Kind(kind) in lower.LOWERINGS


def test_container__nothing_said__has_the_defaults() -> None:
    assert lowered_container("{image: nginx}") == container.ContainerConfig(
        name="web",
        image="docker.io/library/nginx:latest",
        labels=(),
        command=None,
        args=None,
        env=(),
        working_dir="",
        hostname="web",
        ports=(),
        network_mode=container.NetworkMode.NETWORKS,
        networks=(container.NetworkAttachment("bridge"),),
        mounts=(),
        restart=container.RestartConfig(container.RestartPolicy.ALWAYS, container.BackoffConfig(1.0, 300.0, 600.0)),
        health=health.HealthConfig(None, None, None),
        resources=container.Resources(None, None, None, None),
        security=container.Security("", (), (), False, True, container.SeccompProfile.DEFAULT),
        stop=container.StopConfig("", 10.0),
        update=container.UpdateStrategy.RECREATE,
        depends_on=(),
    )


def test_container__everything_said__means_it() -> None:
    db = HEAD.format(kind="Container", name="db", spec="{image: postgres}")
    data = HEAD.format(kind="Volume", name="data", spec="{deletionPolicy: Delete}")
    shop = HEAD.format(kind="Network", name="shop", spec="{subnets: [{subnet: 10.9.0.0/24, range: 10.9.0.128/25}]}")
    spec = """
  image: ghcr.io/a/b@sha256:%s
  command: [run]
  args: [-x]
  env: {B: 'two', A: 1, C: true, D: 1.5}
  workingDir: /srv
  hostname: www
  ports: [{host: 8080, container: 80}, '127.0.0.1:53:5353/udp']
  networks: [{name: shop, aliases: [w, a], ipv4: 10.9.0.9}]
  mounts: [{volume: data, path: /data}, {bind: /etc, path: /e, readOnly: true}, {tmpfs: 1Mi, path: /t}]
  restart: {policy: OnFailure, backoff: {initial: 500ms, max: 1m30s, reset: 1h}}
  health:
    startup: {http: {port: 80, path: /up, headers: {X: y}}, period: 1s, failureThreshold: 30}
    readiness: {tcp: {port: 80}}
    liveness: {exec: [a, b], initialDelay: 5s, timeout: 2s, successThreshold: 2}
  resources: {cpus: 0.5, memory: 128Mi, memoryReservation: 64M, pids: 9}
  security: {user: '1:2', capabilities: {add: [net_admin, CAP_KILL], drop: [ALL]}, readOnlyRootfs: true,
             noNewPrivileges: false, seccomp: Unconfined}
  stop: {signal: SIGQUIT, gracePeriod: 30s}
  dependsOn: [{container: db, condition: Healthy}]
""" % ("a" * 64)
    web = next(
        c
        for c in lowered(HEAD.format(kind="Container", name="web", spec=spec), db, data, shop).containers
        if c.name == "web"
    )
    assert web.image == f"ghcr.io/a/b@sha256:{'a' * 64}"
    assert (web.command, web.args) == (("run",), ("-x",))
    assert web.env == (("A", "1"), ("B", "two"), ("C", "true"), ("D", "1.5"))
    assert (web.working_dir, web.hostname) == ("/srv", "www")
    assert [str(port) for port in web.ports] == ["127.0.0.1:53:5353/udp", "0.0.0.0:8080:80/tcp"]
    assert web.networks == (container.NetworkAttachment("shop", ("a", "w"), "10.9.0.9"),)
    assert web.mounts == (
        container.VolumeMount("data", "/data", read_only=False),
        container.BindMount("/etc", "/e", read_only=True),
        container.TmpfsMount("/t", 1024**2),
    )
    assert web.restart == container.RestartConfig(
        container.RestartPolicy.ON_FAILURE, container.BackoffConfig(0.5, 90.0, 3600.0)
    )
    assert web.health.startup == health.Probe(health.HttpProbe(80, "/up", "http", (("X", "y"),)), 0.0, 1.0, 1.0, 1, 30)
    assert web.health.readiness == health.Probe(health.TcpProbe(80), 0.0, 10.0, 1.0, 1, 3)
    assert web.health.liveness == health.Probe(health.ExecProbe(("a", "b")), 5.0, 10.0, 2.0, 2, 3)
    assert web.resources == container.Resources(500, 128 * 1024**2, 64 * 1000**2, 9)
    assert web.security == container.Security(
        "1:2", ("KILL", "NET_ADMIN"), ("ALL",), True, False, container.SeccompProfile.UNCONFINED
    )
    assert web.stop == container.StopConfig("SIGQUIT", 30.0)
    assert web.depends_on == (container.Dependency("db", container.DependencyCondition.HEALTHY),)


def test_container__depends_on_a_name_alone__is_started() -> None:
    db = HEAD.format(kind="Container", name="db", spec="{image: db:1}")
    containers = lowered(
        HEAD.format(kind="Container", name="web", spec="{image: web:1, dependsOn: [db]}"), db
    ).containers
    (web,) = (config for config in containers if config.name == "web")
    assert web.depends_on == (container.Dependency("db", container.DependencyCondition.STARTED),)


@pytest.mark.parametrize(
    ("pull", "follow"),
    [
        ("policy: IfNotPresent", None),
        ("policy: Always", ("Always", "", None)),
        ("policy: Never", ("Never", "", None)),
        ("update: {}", ("IfNotPresent", "", 300.0)),
        ("update: {track: tag, interval: 1h}", ("IfNotPresent", "", 3600.0)),
        ("policy: Always, update: {track: '>=1.2 <2', interval: 90s}", ("Always", ">=1.2 <2", 90.0)),
    ],
)
def test_image__pull_policy_and_update__are_a_wish_beside_the_image(
    pull: str, follow: tuple[object, ...] | None
) -> None:
    plain = lowered(HEAD.format(kind="Image", name="app", spec="{pull: {reference: 'app:1'}}"))
    state = lowered(HEAD.format(kind="Image", name="app", spec=f"{{pull: {{reference: 'app:1', {pull}}}}}"))
    assert state.images == plain.images, "the image itself is the same"
    policies = [(follow.policy.value, follow.track, follow.interval) for follow in state.follows]
    assert policies == ([] if follow is None else [follow])
    assert all((follow.name, follow.reference) == ("app", "docker.io/library/app:1") for follow in state.follows)


def test_images__that_follow_their_registries__are_sorted_by_name() -> None:
    spec = "{pull: {reference: 'app:1', policy: Always}}"
    state = lowered(*(HEAD.format(kind="Image", name=name, spec=spec) for name in ("c", "a", "b")))
    assert [follow.name for follow in state.follows] == ["a", "b", "c"]


def test_default_registry__is_of_all_images_that_name_none() -> None:
    text = "---\n".join(
        (
            HEAD.format(kind="Image", name="app", spec="{pull: {reference: 'team/app:1'}}"),
            HEAD.format(kind="Container", name="web", spec="{image: {name: app}}"),
            HEAD.format(kind="Container", name="db", spec="{image: 'docker.io/postgres:16'}"),
            HEAD.format(kind="Container", name="cache", spec="{image: redis}"),
        )
    )
    files = [pipeline.ManifestFile("a.yaml", "/srv", text.encode())]
    state = pipeline.lower(pipeline.parse(files, pipeline.ParseOptions(registry="r.example:5000")), "r1", {})
    assert {container.name: container.image for container in state.containers} == {
        "web": "r.example:5000/team/app:1",
        "db": "docker.io/library/postgres:16",
        "cache": "r.example:5000/redis:latest",
    }
    assert sorted(image.reference for image in state.images) == [
        "docker.io/library/postgres:16",
        "r.example:5000/redis:latest",
        "r.example:5000/team/app:1",
    ]


@pytest.mark.parametrize(("word", "mode"), [("host", "host"), ("none", "none")])
def test_network_mode__said_by_a_word(word: str, mode: str) -> None:
    web = lowered_container(f"{{image: x, networks: {word}}}")
    assert (web.network_mode.value, web.networks) == (mode, ())


def test_default_network__used__is_there_by_itself_and_otherwise_not() -> None:
    used = lowered(HEAD.format(kind="Container", name="web", spec="{image: x}"))
    bridge = network.NetworkConfig(
        "bridge", network.NetworkDriver.BRIDGE, (), subnets=(), internal=False, dns=True, mtu=None
    )
    assert used.networks == (bridge,)
    unused = lowered(HEAD.format(kind="Container", name="web", spec="{image: x, networks: none}"))
    assert unused.networks == ()


def test_image__named_by_reference__is_an_object_of_its_own_unless_declared() -> None:
    implicit = lowered(HEAD.format(kind="Container", name="web", spec="{image: nginx:1}"))
    name = "docker.io/library/nginx:1"
    assert implicit.images == (image.ImageConfig(name, name, image.PullSource("")),)
    declared = lowered(
        HEAD.format(kind="Container", name="web", spec="{image: nginx:1}"),
        HEAD.format(kind="Image", name="shop", spec="{pull: {reference: 'nginx:1', platform: linux/arm64}}"),
    )
    assert [(image.name, image.source) for image in declared.images] == [("shop", image.PullSource("linux/arm64"))]


def test_image__archive__starts_at_the_manifest_and_carries_its_stamp() -> None:
    state_ = lowered(
        HEAD.format(kind="Image", name="app", spec="{archive: {path: ../build/app.tar}}"),
        HEAD.format(kind="Container", name="web", spec="{image: {name: app}}"),
        states={
            external_input.ExternalInput(
                external_input.InputKind.ARCHIVE, "/srv/build/app.tar"
            ): external_input.InputState("12-34")
        },
    )
    assert state_.images[0].source == image.ArchiveSource("/srv/build/app.tar", "12-34")
    assert state_.containers[0].image == state_.images[0].reference == "localhost/app:latest"


def test_networks__listed_by_name_or_with_more__are_sorted() -> None:
    others = (HEAD.format(kind="Network", name=name, spec="{}") for name in ("a", "b", "c"))
    web = lowered_container("{image: x, networks: [c, {name: b, aliases: [z, y]}, a]}", *others)
    assert web.networks == (
        container.NetworkAttachment("a"),
        container.NetworkAttachment("b", ("y", "z")),
        container.NetworkAttachment("c"),
    )


def test_subnets__short_and_long__are_sorted() -> None:
    spec = "{subnets: [10.9.0.0/24, {subnet: 10.8.0.0/24, gateway: 10.8.0.9, range: 10.8.0.128/25}, 10.7.0.0/24]}"
    (shop,) = lowered(HEAD.format(kind="Network", name="shop", spec=spec)).networks
    assert shop.subnets == (
        network.Subnet("10.7.0.0/24", None, None),
        network.Subnet("10.8.0.0/24", "10.8.0.9", "10.8.0.128/25"),
        network.Subnet("10.9.0.0/24", None, None),
    )


def test_network_and_volume__mean_what_they_say() -> None:
    desired = lowered(
        HEAD.format(
            kind="Network", name="shop", spec="{internal: true, dns: false, mtu: 1400, subnets: [10.9.0.0/24]}"
        ),
        HEAD.format(kind="Volume", name="data", spec="{deletionPolicy: Delete}"),
        "apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: plain, labels: {a: b}}\n",
    )
    subnets = (network.Subnet("10.9.0.0/24", None, None),)
    bridge = network.NetworkDriver.BRIDGE
    assert desired.networks == (network.NetworkConfig("shop", bridge, (), subnets, internal=True, dns=False, mtu=1400),)
    assert [(volume.name, volume.deletion_policy, volume.labels) for volume in desired.volumes] == [
        ("data", volume.DeletionPolicy.DELETE, ()),
        ("plain", volume.DeletionPolicy.RETAIN, (("a", "b"),)),
    ]


def test_yaml__words_and_numbers_are_what_people_meant() -> None:
    web = lowered_container("{image: x, env: {A: no, B: 010, C: 12:30, D: 0x1F, E: 1e3, F: '1', G: 0o17}}")
    assert dict(web.env) == {"A": "no", "B": "010", "C": "12:30", "D": "0x1F", "E": "1e3", "F": "1", "G": "0o17"}


def test_mount__its_path__is_known_in_its_shortest_spelling() -> None:
    mounts = lowered_container("{image: x, mounts: [{tmpfs: 1Mi, path: //a/./b//}]}").mounts
    assert mounts == (container.TmpfsMount("/a/b", 1024**2),)


def test_number__wanted_as_a_number__may_be_written_in_any_way() -> None:
    web = lowered_container(
        "{image: x, ports: [{host: 0x50, container: +80}], resources: {cpus: .5, memory: 0x1000000}}"
    )
    assert ([str(port) for port in web.ports], web.resources.cpu_millis) == (["0.0.0.0:80:80/tcp"], 500)
    assert web.resources.memory == 16 * 1024**2


def test_order_of_files_and_documents__does_not_matter() -> None:
    files = [
        pipeline.ManifestFile(f"{name}.yaml", "/", HEAD.format(kind="Container", name=name, spec="{image: x}").encode())
        for name in "cab"
    ]
    forwards = pipeline.lower(pipeline.parse(files), "r1", {})
    assert forwards == pipeline.lower(pipeline.parse(files[::-1]), "r1", {})
    assert [container.name for container in forwards.containers] == ["a", "b", "c"]


def test_explain__a_field__tells_type_default_and_members() -> None:
    text = explain.explain("container.spec.restart.backoff")
    assert text.splitlines()[0] == "container.spec.restart.backoff <Backoff>"
    assert "  initial <duration>, default 1s\n" in text
    assert explain.explain("volume").splitlines()[0] == "volume <Volume>"
    assert "  path <string> (required)" in explain.explain("container.spec.mounts")
    assert explain.explain("container.spec.networks").splitlines()[0] == (
        "container.spec.networks <bridge | host | none | list of string | NetworkRef>, default bridge"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("pod", "there is no kind 'pod' (known are container, image, network, secret, volume)"),
        ("container.spec.prots", "container.spec has no field 'prots' (did you mean ports?)"),
    ],
)
def test_explain__unknown__says_what_there_is(path: str, message: str) -> None:
    with pytest.raises(explain.UnknownField) as caught:
        explain.explain(path)
    assert str(caught.value) == message


def test_explain__every_path_has_a_description() -> None:
    assert [path for path in explain.paths() if not explain.look_up(path).description] == []


def test_schemas__are_json_schema_and_structural_definitions() -> None:
    files = schema.files()
    container_schema = json.loads(files["container.schema.json"])
    assert container_schema["properties"]["spec"]["required"] == ["image"]
    assert container_schema["additionalProperties"] is False
    assert "$ref" not in files["all.schema.json"]
    for name, text in files.items():
        if name.endswith(".crd.yaml"):
            definition = yaml.safe_load(text)
            assert definition["kind"] == "CustomResourceDefinition"
            structural = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            own = "stringData" if name.startswith("secret.") else "spec"
            assert structural["properties"][own]["type"] == "object"
            assert "anyOf" not in text
            assert "$ref" not in text


def test_definitions__mappings_of_names__keep_what_is_in_them() -> None:
    definition = yaml.safe_load(schema.files()["container.crd.yaml"])
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["env"]["additionalProperties"]["x-kubernetes-preserve-unknown-fields"] is True
    http = spec["health"]["properties"]["liveness"]["properties"]["http"]["properties"]
    assert http["headers"]["additionalProperties"]["type"] == "string"
