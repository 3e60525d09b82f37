"""``explain`` as people type it."""

import pytest

from agent.manifests import explain, registry

VOLUME = """\
volume.spec <Volume>

The volume's configuration.

FIELDS
  driver <string>, default local
      The volume's driver. Only local is built: others are refused.
  deletionPolicy <Retain | Delete>, default Retain
      Whether the data is kept or deleted when the manifest leaves the source.
  options <any>
      Not built yet: refused.
  size <any>
      Not built yet: refused.
  seed <any>
      Not built yet: refused."""
MOUNTS = """\
container.spec.mounts <list of Mount>

Volumes, bind mounts of the host's paths, and tmpfs.

FIELDS
  volume <string>
      The name of a Volume in the same source.
  bind <string>
      An absolute path of the host; it has to exist.
  tmpfs <quantity>
      Memory, of at most this size; empty at each start.
  secret <any>
      Not built yet: refused.
  path <string> (required)
      Where it is in the container: an absolute path.
  readOnly <boolean>, default false
      Whether the container may only read it."""
POLICY = """\
container.spec.restart.policy <Always | OnFailure | UnlessStopped | Never>, default Always

When the container is started again."""


def test_explain__no_path__lists_every_kind_with_its_description() -> None:
    text = explain.explain("")
    assert text.startswith("trimtab.dev/v1 <kinds>\n\nWhat a manifest can declare.\n\nKINDS\n  container <Container>\n")
    assert all(f"  {kind.lower()} <{kind}>\n" in text for kind in registry.MODELS)
    assert text.endswith("\n  volume <Volume>\n      Data that outlives containers.")


def test_explain__path__still_lists_fields() -> None:
    assert "FIELDS" in explain.explain("container.spec")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("volume.spec", VOLUME),
        ("Volume.spec.", VOLUME),
        ("container.spec.mounts", MOUNTS),
        ("container.spec.restart.policy", POLICY),
    ],
)
def test_explain__path__is_told_with_type_default_and_members(path: str, expected: str) -> None:
    assert explain.explain(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("container", "Container"),
        ("container.spec.image", "string | ImageName"),
        ("container.spec.command", "list of string"),
        ("container.spec.env", "map of string | number | boolean | EnvironmentSource"),
        ("container.spec.networks", "bridge | host | none | list of string | NetworkRef"),
        ("container.spec.resources.cpus", "cores"),
        ("container.spec.resources.memory", "quantity"),
        ("container.spec.resources.memoryReservation", "quantity"),
        ("container.spec.resources.pids", "integer"),
        ("container.spec.mounts.tmpfs", "quantity"),
        ("container.spec.mounts.secret", "any"),
        ("container.spec.stop.gracePeriod", "duration"),
        ("container.spec.health.liveness.period", "duration"),
        ("container.spec.security.noNewPrivileges", "boolean"),
        ("container.spec.health.liveness", "Probe"),
        ("container.metadata.labels", "map of string"),
    ],
)
def test_explain__type__is_named_as_in_yaml(path: str, expected: str) -> None:
    assert explain.look_up(path).type == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("container.spec.restart.backoff.initial", "1s"),
        ("container.spec.security.readOnlyRootfs", "false"),
        ("container.spec.security.noNewPrivileges", "true"),
        ("container.spec.health.liveness.failureThreshold", "3"),
        ("container.spec.security.user", ""),
        ("container.spec.restart", ""),
        ("container.spec.mounts", ""),
        ("container.spec.mounts.volume", ""),
        ("container.spec", ""),
        ("container", ""),
    ],
)
def test_explain__default__is_written_as_in_yaml(path: str, expected: str) -> None:
    assert explain.look_up(path).default == expected


def test_look_up__members__are_those_of_every_form_that_a_field_takes() -> None:
    assert [member.name for member in explain.look_up("container.spec.networks").members] == ["name", "aliases", "ipv4"]
    (name,) = explain.look_up("container.spec.image").members
    assert name == explain.Member("name", "string", True, "", "The name of an Image in the same source.")


def test_look_up__kinds__are_members_that_are_not_required() -> None:
    kinds = explain.look_up("")
    assert kinds.members[-1] == explain.Member("volume", "Volume", False, "", "Data that outlives containers.")
    assert (kinds.default, kinds.type) == ("", "kinds")


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("volumes", "there is no kind 'volumes'", "did you mean volume?"),
        ("pod", "there is no kind 'pod'", "known are container, image, network, secret, volume"),
        ("volume.spec.drivr", "volume.spec has no field 'drivr'", "did you mean driver?"),
        (
            "Volume.spec.nothing",
            "volume.spec has no field 'nothing'",
            "its fields are driver, deletionPolicy, options, size, seed",
        ),
        ("volume.spec.driver.x", "volume.spec.driver has no field 'x'", "see trimtab explain volume.spec.driver"),
    ],
)
def test_explain__what_there_is_not__is_told_with_what_there_is(path: str, message: str, hint: str) -> None:
    with pytest.raises(explain.UnknownField) as raised:
        explain.explain(path)
    assert (str(raised.value), raised.value.hint) == (f"{message} ({hint})", hint)


def test_look_up__a_kind__has_its_own_words_and_members() -> None:
    volume = explain.look_up("volume")
    assert volume.description == "Data that outlives containers."
    assert [member.name for member in volume.members] == ["apiVersion", "kind", "metadata", "spec"]
    assert [member.required for member in volume.members] == [True, True, True, False]


def test_paths__for_completion__are_every_place_once() -> None:
    paths = explain.paths()
    assert len(paths) == len(set(paths))
    volume = [path for path in paths if path.partition(".")[0] == "volume"]
    fields = [f"volume.spec.{name}" for name in ("driver", "deletionPolicy", "options", "size", "seed")]
    metadata = [f"volume.metadata.{name}" for name in ("name", "annotations", "labels")]
    head = ["volume", "volume.apiVersion", "volume.kind"]
    assert volume == [*head, "volume.metadata", *metadata, "volume.spec", *fields]
    assert "container.spec.health.liveness.http.headers" in paths
    assert {path.partition(".")[0] for path in paths} == {kind.lower() for kind in registry.MODELS}
    assert all(explain.look_up(path).path == path for path in paths)
