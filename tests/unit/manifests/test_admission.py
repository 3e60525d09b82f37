"""What each level admits: Kubernetes' Pod Security Standards, said field by field."""

import dataclasses
from typing import Any

import pytest

from agent.manifests import admission, pipeline
from agent.model import container, hostaccess, image, state
from tests import builders

PRIVILEGED, BASELINE, RESTRICTED = (admission.Policy(level) for level in admission.Level)
BOTH = [BASELINE, RESTRICTED]
SOUND = "  security: {user: '1000', capabilities: {drop: [ALL]}}\n"
"""What every container needs at the level restricted."""


def problems(spec: str, policy: admission.Policy, *more: str) -> list[str]:
    """Return the problems of a container, as people see them; further documents beside it."""
    text = f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: web}}\nspec:\n  image: nginx\n{spec}"
    data = "\n---\n".join((text, *more)).encode()
    parsed = pipeline.parse(
        [pipeline.ManifestFile("web.yaml", "/srv/manifests", data)], pipeline.ParseOptions(admitted=policy)
    )
    return [str(problem) for problem in parsed.problems]


def hint(line: str) -> str:
    """Return the hint that names the setting."""
    return f"(to admit it, set in the configuration: admission: {{{line}}})"


BINDS = "  mounts: [{bind: /srv/../etc, path: /host}]\n"
CASES = [  # (what is asked for, where, refused at baseline as, refused at restricted as, the line that admits it)
    ("  networks: host\n", "6:13", "the host's network is not admitted at the level {}", "hostNetwork: true"),
    (BINDS, "6:19", "a bind of /etc is not admitted at the level {}", "binds: [/etc]"),
    (
        "  mounts: [{bind: //etc, path: /host}]\n",
        "6:19",
        "a bind of /etc is not admitted at the level {}",
        "binds: [/etc]",
    ),
]


@pytest.mark.parametrize(("spec", "where", "message", "line"), CASES)
@pytest.mark.parametrize("policy", [BASELINE, RESTRICTED])
def test_host__asked_for__is_refused_with_the_line_that_admits_it(
    spec: str, where: str, message: str, line: str, policy: admission.Policy
) -> None:
    expected = f"web.yaml:{where}: {message.format(policy.level)} {hint(line)}"
    assert problems(spec + SOUND, policy) == [expected]
    assert problems(spec + SOUND, PRIVILEGED) == []


@pytest.mark.parametrize(
    ("security", "where", "what", "line", "levels"),
    [
        ("capabilities: {add: [ALL], drop: [ALL]}", "[ALL]", "the capability ALL", "capabilities: [ALL]", BOTH),
        (
            *("capabilities: {add: [SYS_ADMIN], drop: [ALL]}", "[SYS_ADMIN]", "the capability SYS_ADMIN"),
            *("capabilities: [SYS_ADMIN]", BOTH),
        ),
        (
            *("capabilities: {add: [CAP_NET_RAW], drop: [ALL]}", "[CAP_NET_RAW]", "the capability NET_RAW"),
            *("capabilities: [NET_RAW]", BOTH),
        ),
        (
            *("capabilities: {add: [CHOWN], drop: [ALL]}", "[CHOWN]", "the capability CHOWN"),
            *("capabilities: [CHOWN]", [RESTRICTED]),
        ),
        ("capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}", "", "", "", []),
        (
            *("seccomp: Unconfined, capabilities: {drop: [ALL]}", "Unconfined", "seccomp Unconfined"),
            *("seccompUnconfined: true", BOTH),
        ),
        (
            *("noNewPrivileges: false, capabilities: {drop: [ALL]}", "false", "noNewPrivileges: false"),
            *("privilegeEscalation: true", [RESTRICTED]),
        ),
        ("readOnlyRootfs: true, capabilities: {drop: [ALL]}", "", "", "", []),
    ],
)
def test_security__by_level(security: str, where: str, what: str, line: str, levels: list[admission.Policy]) -> None:
    spec = f"  security: {{user: '1000', {security}}}\n"
    assert problems(spec, PRIVILEGED) == []
    for policy in BOTH:
        expected = (
            f"web.yaml:6:{spec.index(where) + 1}: {what} is not admitted at the level {policy.level} {hint(line)}"
        )
        assert problems(spec, policy) == ([expected] if policy in levels else [])


def test_capabilities__not_all_dropped__are_refused_where_they_are_named_at_restricted_alone() -> None:
    spec = "  security: {user: '1000', capabilities: {drop: [NET_RAW]}}\n"
    assert problems(spec, BASELINE) == []
    assert problems(spec, RESTRICTED) == [
        "web.yaml:6:49: security.capabilities.drop must be [ALL] at the level restricted " + hint("capabilities: [ALL]")
    ]
    policy = dataclasses.replace(RESTRICTED, capabilities=("CHOWN",))
    assert problems(spec, policy)[0].endswith(hint("capabilities: [CHOWN, ALL]"))


def test_privileged__with_registries_alone__admits_everything_of_the_host() -> None:
    policy = dataclasses.replace(PRIVILEGED, registries=("docker.io",))
    image = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {archive: {path: /var/app.tar}}"
    spec = "  networks: host\n  security: {seccomp: Unconfined, noNewPrivileges: false, user: root}\n"
    assert problems(spec + BINDS, policy, image) == []


def test_registry__of_an_image_with_a_manifest__is_refused_there_and_once() -> None:
    policy = dataclasses.replace(BASELINE, registries=("docker.io",))
    image = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {pull: {reference: evil.example/x}}"
    container = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: two}\nspec: {image: {name: app}}"
    assert problems("", policy, image, container) == [
        "web.yaml:11:26: images of evil.example are not among those that may be used "
        + hint("registries: [docker.io, evil.example]")
    ]


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("", ""),  # the image's: the runtime looks
        ("1000", ""),
        ("1000:0", ""),
        ("0", "must not be 0, which is root"),
        ("00:5", "must not be 0, which is root"),
        ("root", "must be a number, and is 'root', which an image may give to root"),
        ("app", "must be a number, and is 'app', which an image may give to root"),
    ],
)
def test_user__at_restricted__is_known_not_to_be_root(user: str, message: str) -> None:
    spec = f"  security: {{user: '{user}', capabilities: {{drop: [ALL]}}}}\n"
    assert problems(spec, BASELINE) == []
    expected = (
        [f"web.yaml:6:20: security.user {message} at the level restricted {hint('rootUser: true')}"] if message else []
    )
    assert problems(spec, RESTRICTED) == expected
    assert problems(spec, dataclasses.replace(RESTRICTED, root_user=True)) == []


def test_nothing_said__baseline_admits_and_restricted_tells_what_to_drop() -> None:
    assert problems("", BASELINE) == []
    assert problems("", RESTRICTED) == [
        "web.yaml:5:3: security.capabilities.drop must be [ALL] at the level restricted " + hint("capabilities: [ALL]")
    ]


@pytest.mark.parametrize("policy", [PRIVILEGED, BASELINE, RESTRICTED])
def test_published_ports_volumes_and_memory__are_admitted_at_every_level(policy: admission.Policy) -> None:
    volume = "apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: data}"
    spec = "  ports: ['80:80']\n  mounts: [{volume: data, path: /data}, {tmpfs: 1Mi, path: /tmp}]\n"
    assert problems(spec + SOUND, policy, volume) == []


@pytest.mark.parametrize(
    ("source", "admitted"),
    [
        ("/srv/data", True),
        ("/srv/data/", True),
        ("/srv/data/below/it", True),
        ("/srv//data/./x", True),
        ("/srv/database", False),
        ("/srv", False),
        ("/srv/data/../secret", False),
        ("/srv/data/../../etc/shadow", False),
        ("/", False),
        ("/srv/manifests/files", True),
        ("/srv/manifests/../other", False),
    ],
)
@pytest.mark.parametrize("level", [admission.Level.BASELINE, admission.Level.RESTRICTED])
def test_binds__below_an_allowed_path_or_the_source_itself(level: admission.Level, source: str, admitted: bool) -> None:
    policy = admission.Policy(level, binds=("/srv/data",), own=("/srv/manifests",))
    lines = problems(f"  mounts: [{{bind: '{source}', path: /host}}]\n{SOUND}", policy)
    assert (lines == []) is admitted
    if lines:
        assert hint(f"binds: [/srv/data, {hostaccess.normal(source)}]") in lines[0]


def test_binds__the_root_allowed__everything_is() -> None:
    assert problems(BINDS, dataclasses.replace(BASELINE, binds=("/",))) == []


@pytest.mark.parametrize(
    ("policy", "spec"),
    [
        (dataclasses.replace(BASELINE, host_network=True), "  networks: host\n"),
        (dataclasses.replace(BASELINE, seccomp_unconfined=True), "  security: {seccomp: Unconfined}\n"),
        (
            dataclasses.replace(BASELINE, capabilities=("NET_ADMIN",)),
            "  security: {capabilities: {add: [NET_ADMIN]}}\n",
        ),
        (
            dataclasses.replace(RESTRICTED, privilege_escalation=True),
            "  security: {noNewPrivileges: false, capabilities: {drop: [ALL]}}\n",
        ),
        (dataclasses.replace(RESTRICTED, capabilities=("ALL",)), "  security: {user: '1'}\n"),
    ],
)
def test_exceptions__admit_what_they_name(policy: admission.Policy, spec: str) -> None:
    assert problems(spec, policy) == []
    assert problems(spec, admission.Policy(policy.level)) != []


@pytest.mark.parametrize("level", admission.Level)
def test_registries__hold_at_every_level(level: admission.Level) -> None:
    policy = admission.Policy(level, registries=("registry.example:5000", "docker.io/library/*"))
    assert problems(SOUND, policy) == []
    other = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {pull: {reference: evil.example/x}}"
    assert problems(SOUND, policy, other) == [
        "web.yaml:12:26: images of evil.example are not among those that may be used "
        + hint("registries: [registry.example:5000, docker.io/library/*, evil.example]")
    ]
    named = SOUND.replace("  security", "  command: [x]\n  security")
    text = problems(named, dataclasses.replace(policy, registries=("registry.example",)))
    assert text == [
        "web.yaml:5:10: images of docker.io are not among those that may be used "
        + hint("registries: [registry.example, docker.io]")
    ]


@pytest.mark.parametrize("level", admission.Level)
def test_ports__only_those_that_settings_name(level: admission.Level) -> None:
    policy = admission.Policy(level, ports=((443, 443), (8000, 8999)))
    assert problems("  ports: ['443:80', '8000:81', '127.0.0.1:8999:82/udp']\n" + SOUND, policy) == []
    assert problems("  ports: ['442:80']\n" + SOUND, policy) == [
        "web.yaml:6:10: host port 442 is not among those that may be published " + hint("ports: [443, 8000-8999, 442]")
    ]


def test_archive__outside_of_the_source__is_refused_as_a_bind_is() -> None:
    image = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {archive: {path: '%s'}}"
    policy = dataclasses.replace(BASELINE, own=("/srv/manifests",))
    assert problems(SOUND, policy, image % "images/app.tar") == []
    assert problems(SOUND, PRIVILEGED, image % "/var/backups/app.tar") == []
    for path, normal in (("/var/backups/app.tar", "/var/backups/app.tar"), ("../app.tar", "/srv/app.tar")):
        (expected,) = problems(SOUND, policy, image % path)
        assert expected == (
            f"web.yaml:12:24: an archive outside of the source, {normal}, is not admitted at the level baseline "
            + hint(f"binds: [{normal}]")
        )


def test_several_faults__are_all_told() -> None:
    lines = problems(
        "  networks: host\n  mounts: [{bind: /, path: /host}]\n  security: {seccomp: Unconfined}\n", BASELINE
    )
    assert [line.split(": ")[1].split(" is not")[0] for line in lines] == [
        *("the host's network", "a bind of /", "seccomp Unconfined"),
    ]


def test_entry_of_a_source__is_named_in_the_hint() -> None:
    policy = dataclasses.replace(BASELINE, origin="the entry of admission.sources that matches git+*")
    (line,) = problems("  networks: host\n", policy)
    assert "set in the configuration: the entry of admission.sources that matches git+*: {hostNetwork: true}" in line


def test_refusals__of_a_state_without_manifests__say_whose() -> None:
    """A state that stood under other settings is judged by what it lowers to."""
    host = builders.config(network_mode=container.NetworkMode.HOST)
    refusals = list(admission.refusals(builders.desired(host), BASELINE))
    assert [str(line) for line in refusals] == [
        "Container/web: the host's network is not admitted at the level baseline " + hint("hostNetwork: true")
    ]
    assert list(admission.refusals(builders.desired(host), PRIVILEGED)) == []
    assert list(admission.refusals(state.DesiredState("r"), RESTRICTED)) == []


def built(**fields: Any) -> state.DesiredState:
    source = image.BuildSource(**{"context": "/srv/app", "dockerfile": "/srv/app/Dockerfile", "stamp": "", **fields})
    return state.DesiredState.of("r1", (image.ImageConfig("app", "localhost/app:latest", source),))


def test_build__outside_of_the_source__is_refused_where_binds_are() -> None:
    outside = built(dockerfile="/etc/Dockerfile")
    assert list(admission.refusals(outside, PRIVILEGED)) == []
    policy = dataclasses.replace(BASELINE, own=("/srv",))
    assert [(line.path, line.message) for line in admission.refusals(outside, policy)] == [
        (
            ("spec", "build", "dockerfile"),
            "a dockerfile outside of the source, /etc/Dockerfile, is not admitted at the level baseline",
        )
    ]
    assert [line.path[-1] for line in admission.refusals(built(context="/"), policy)] == ["context"]
    assert list(admission.refusals(built(), policy)) == []


def test_build__caches_of_registries_that_are_not_listed__are_refused() -> None:
    source = image.BuildSource(
        "/srv/manifests",
        "/srv/manifests/D",
        "",
        cache_from=("good.example/a", "bad.example/a"),
        cache_to=("bad.example/b",),
    )
    listed = dataclasses.replace(BASELINE, registries=("good.example",))
    desired = builders.desired(image.ImageConfig("site", "localhost/site:latest", source), image=False)
    for policy in (listed, dataclasses.replace(listed, level=admission.Level.PRIVILEGED)):
        lines = [
            (line.path, line.setting) for line in admission.refusals(desired, policy) if "images of" in line.message
        ]
        setting = hint("registries: [good.example, bad.example]")[1:-1]
        assert lines == [(("spec", "build", "cacheFrom", 1), setting), (("spec", "build", "cacheTo", 0), setting)]


def test_build__with_the_hosts_network__is_refused_as_containers_are() -> None:
    policy = dataclasses.replace(BASELINE, own=("/srv",))
    (line,) = admission.refusals(built(network=image.BuildNetwork.HOST), policy)
    assert (line.path, "hostNetwork: true" in line.setting) == (("spec", "build", "network"), True)
    allowed = dataclasses.replace(policy, host_network=True)
    assert list(admission.refusals(built(network=image.BuildNetwork.HOST), allowed)) == []


def test_build__at_the_level_restricted__is_refused_as_its_commands_run_as_root() -> None:
    policy = dataclasses.replace(RESTRICTED, own=("/srv",))
    (line,) = admission.refusals(built(), policy)
    assert (line.path, "rootUser: true" in line.setting) == (("spec", "build"), True)
    assert list(admission.refusals(built(), dataclasses.replace(policy, root_user=True))) == []


def test_access__is_what_the_runtime_has_to_see_to() -> None:
    assert PRIVILEGED.access == hostaccess.UNLIMITED
    assert dataclasses.replace(BASELINE, binds=("/a",), own=("/b",)).access == hostaccess.HostAccess(
        ("/a", "/b"), fetches=False
    )
    open_policy = dataclasses.replace(BASELINE, host_network=True, registries=("a.example",))
    assert open_policy.access == hostaccess.HostAccess((), registries=("a.example",))
    assert RESTRICTED.access == hostaccess.HostAccess((), refuses_root=True, fetches=False)
    assert dataclasses.replace(RESTRICTED, root_user=True).access == hostaccess.HostAccess((), fetches=False)


def test_host__asked_for_by_objects_that_are_wrong__is_not_looked_at() -> None:
    other = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: a}\nspec: {image: {name: app}}"
    assert problems("  networks: host\n", BASELINE, other) == [
        "web.yaml:12:22: Image/app is not declared (declare an Image)"
    ]
