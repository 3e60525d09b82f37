"""Settings of admission, and which hold for a SOURCE."""

import pathlib

import pytest

from agent import settings, trust
from agent.kit import configuration
from agent.manifests import admission

CONFIG = """\
admission:
  level: baseline
  binds: [/srv/data]
  capabilities: [cap_net_admin]
  registries: ["Docker.io/app", "index.docker.io"]
  ports: ["443", "8000-8999"]
  sources:
    - {match: "git+https://git.example/*", level: restricted, rootUser: true}
    - {match: "/srv/trusted", level: privileged}
"""


def loaded(tmp_path: pathlib.Path, text: str) -> settings.Settings:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return settings.load({"config": str(path), "root": "/var/lib/here"}, {})


def test_nothing_set__everything_is_admitted() -> None:
    policy = trust.policy_for(settings.load({"config": "/dev/null"}, {}), "manifests")
    assert policy.admits_everything
    assert policy.level is admission.Level.PRIVILEGED


def test_policy__of_a_source_that_no_entry_matches__is_the_usual_one(tmp_path: pathlib.Path) -> None:
    policy = trust.policy_for(loaded(tmp_path, CONFIG), str(tmp_path))
    assert policy == admission.Policy(
        level=admission.Level.BASELINE,
        binds=("/srv/data",),
        capabilities=("NET_ADMIN",),
        registries=("docker.io/library/app", "docker.io"),
        ports=((443, 443), (8000, 8999)),
        own=(str(tmp_path),),
        origin="admission",
    )


def test_policy__of_a_file__its_own_folder_is_the_source(tmp_path: pathlib.Path) -> None:
    (tmp_path / "web.yaml").touch()
    assert trust.policy_for(loaded(tmp_path, CONFIG), str(tmp_path / "web.yaml")).own == (str(tmp_path),)


def test_policy__the_first_entry_that_matches__takes_the_place_of_the_rest(tmp_path: pathlib.Path) -> None:
    chosen = loaded(tmp_path, CONFIG)
    policy = trust.policy_for(chosen, "git+https://user:secret@git.example/repo#main")
    assert (policy.level, policy.root_user, policy.binds, policy.ports) == (admission.Level.RESTRICTED, True, (), ())
    assert policy.origin == "the entry of admission.sources that matches git+https://git.example/*"
    assert policy.own[0].startswith("/var/lib/here/sources/")
    assert trust.policy_for(chosen, "git+https://git.other/repo").level is admission.Level.BASELINE


def test_policy__a_relative_source__is_matched_by_its_absolute_path(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = loaded(
        tmp_path, f"admission: {{level: restricted, sources: [{{match: {tmp_path}/*, level: baseline}}]}}\n"
    )
    assert trust.policy_for(chosen, "below").level is admission.Level.BASELINE


def test_variables__set_it_too() -> None:
    environment = {"TRIMTAB_ADMISSION_LEVEL": "restricted", "TRIMTAB_ADMISSION_HOST_NETWORK": "true"}
    chosen = settings.load({"config": "/dev/null"}, environment)
    assert (chosen.admission.level, chosen.admission.host_network) == ("restricted", True)


def test_summary__says_which_level_holds_for_whom(tmp_path: pathlib.Path) -> None:
    assert trust.summary(settings.load({"config": "/dev/null"}, {})) == "privileged"
    assert trust.summary(loaded(tmp_path, CONFIG)) == (
        "sources like git+https://git.example/*: restricted, with rootUser; sources like /srv/trusted: privileged; "
        "all others: baseline, with binds, capabilities, registries, ports"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("admission: {level: strict}", "choose privileged or baseline or restricted"),
        ("admission: {binds: [data]}", r"\[0\]: write an absolute path"),
        ("admission: {capabilities: [FLY]}", r"\[0\]: write the name of a capability"),
        ("admission: {ports: ['8999-8000']}", r"\[0\]: write ports from 1 to 65535, the lower one first"),
        ("admission: {ports: ['0']}", r"\[0\]: write ports from 1"),
        ("admission: {ports: [http]}", r"\[0\]: write a port"),
        ("admission: {registries: ['']}", r"\[0\]: it is empty"),
        ("admission: {sources: [{match: x}]}", r"\[0\] needs 'level'"),
        ("admission: {sources: [{level: baseline}]}", r"\[0\] needs 'match'"),
        ("admission: {sources: [{match: x, level: baseline, hostNet: true}]}", "has no 'hostNet'"),
        (
            "admission: {sources: [{match: x, level: baseline, binds: [etc]}]}",
            r"\[0\]\.binds: \[0\]: write an absolute",
        ),
        ("admission: {levle: baseline}", "did you mean admission.level"),
    ],
)
def test_mistakes__are_refused_with_their_place(tmp_path: pathlib.Path, text: str, message: str) -> None:
    with pytest.raises(configuration.BadSettings, match=message):
        loaded(tmp_path, text)
