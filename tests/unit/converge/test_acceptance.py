"""Whether what was read may stand yet."""

import dataclasses

import pytest

from agent.converge import acceptance
from agent.model import secret, state, volume
from tests import builders

STANDING = frozenset({"Container/web", "Container/db"})
LESS = frozenset({"Container/web"})
ACCEPTED = acceptance.Decision()


def proposal(
    names: frozenset[str] = LESS, content: str = "1", *, settled: bool = True, atomic: bool = False
) -> acceptance.Proposal:
    return acceptance.Proposal(content, names, settled, atomic)


def test_judge__nothing_is_missing__stands_at_once() -> None:
    more = proposal(STANDING | {"Container/api"}, settled=False)
    assert acceptance.Acceptance().judge(STANDING, more, 0.0) == ACCEPTED


def test_judge__a_commit__stands_at_once() -> None:
    assert acceptance.Acceptance().judge(STANDING, proposal(atomic=True), 0.0) == ACCEPTED


def test_judge__something_is_missing__stands_once_it_was_the_same_for_a_second() -> None:
    judge = acceptance.Acceptance()
    doubted = acceptance.Decision(frozenset({"Container/db"}), 11.0)
    assert judge.judge(STANDING, proposal(), 10.0) == doubted
    assert judge.judge(STANDING, proposal(), 10.5) == doubted
    assert judge.judge(STANDING, proposal(), 11.0) == ACCEPTED
    assert judge.judge(STANDING, proposal(), 11.5).next_look_at == 12.5, "what is missed next is doubted anew"


def test_judge__seen_once__is_not_enough_however_late() -> None:
    judge = acceptance.Acceptance()
    judge.judge(STANDING, proposal(STANDING), 10.0)
    assert judge.judge(STANDING, proposal(), 100.0).missing


def test_judge__other_things_change_meanwhile__begins_anew() -> None:
    judge = acceptance.Acceptance()
    judge.judge(STANDING, proposal(content="1"), 10.0)
    assert judge.judge(STANDING, proposal(content="2"), 11.0).next_look_at == 12.0
    assert judge.judge(STANDING, proposal(content="2", settled=False), 11.5).next_look_at == 12.5
    assert judge.judge(STANDING, proposal(content="2"), 12.5).next_look_at == 13.5
    assert judge.judge(STANDING, proposal(content="2"), 13.5) == ACCEPTED


def test_judge__it_comes_back__is_forgotten() -> None:
    judge = acceptance.Acceptance()
    judge.judge(STANDING, proposal(), 10.0)
    judge.judge(STANDING, proposal(STANDING), 10.5)
    assert judge.judge(STANDING, proposal(), 11.5).next_look_at == 12.5


@pytest.mark.parametrize(("age", "data", "longest"), [(None, "", 60), (0.0, "", 70), (0.0, "Container/db", 120)])
def test_judge__never_at_rest__is_believed_after_a_minute_and_what_a_cut_file_waits(
    age: float | None, data: str, longest: int
) -> None:
    judge = acceptance.Acceptance()
    names = frozenset({data})
    for second in range(longest):
        changing = dataclasses.replace(proposal(content=str(second)), shortened=age, data=names)
        assert judge.judge(STANDING, changing, 1000.0 + second).missing
    last = dataclasses.replace(proposal(content="x"), shortened=age, data=names)
    assert judge.judge(STANDING, last, 1000.0 + longest) == ACCEPTED


def test_judge__never_at_rest_and_more_is_missing_by_and_by__is_believed_a_minute_after_the_last() -> None:
    judge = acceptance.Acceptance()
    for second in range(90):
        names = LESS if second < 30 else frozenset[str]()
        assert judge.judge(STANDING, proposal(names, str(second)), 1000.0 + second).missing
    assert judge.judge(STANDING, proposal(frozenset(), "x"), 1090.0) == ACCEPTED


def test_names_of__a_state__has_what_would_be_missed_and_not_what_others_imply() -> None:
    login = secret.Login("registry.example", "pull")
    value = secret.SecretValue("db", "password", "", b"s3cr3t")
    desired = state.DesiredState.of(
        "r1", (builders.config("web"), builders.image_config(builders.IMAGE)), logins=(login,), secrets=(value,)
    )
    names = {"Container/web", "the login of pull at registry.example", "password of Secret/db"}
    assert acceptance.names_of(desired) == names
    assert acceptance.standing_of(desired, is_forgotten=False) == acceptance.Standing(frozenset(names), frozenset())


def test_standing_of__nobody_knows_what_was_declared__something_is_missed_whatever_is_declared() -> None:
    standing = acceptance.standing_of(builders.desired(builders.config("web")), is_forgotten=True)
    assert standing == acceptance.Standing(frozenset({"what was declared before the journal was damaged"}), frozenset())


def test_standing_of__a_volume_that_takes_its_data_with_it__says_so() -> None:
    doomed = builders.volume_config("data", volume.DeletionPolicy.DELETE)
    standing = acceptance.standing_of(builders.desired(doomed), is_forgotten=False)
    assert standing == acceptance.Standing(frozenset({"Volume/data"}), frozenset({"Volume/data"}))


@pytest.mark.parametrize(("data", "wait"), [(frozenset[str](), 10.0), (frozenset({"Container/db"}), 60.0)])
def test_judge__a_file_was_cut__waits_until_it_has_rested_and_longer_for_data(
    data: frozenset[str], wait: float
) -> None:
    judge = acceptance.Acceptance()

    def cut(seconds: float) -> acceptance.Proposal:
        return dataclasses.replace(proposal(), shortened=seconds, data=data)

    assert judge.judge(STANDING, cut(0.0), 100.0).next_look_at == 100.0 + wait
    assert judge.judge(STANDING, cut(wait - 0.5), 99.5 + wait).next_look_at == 100.0 + wait
    assert judge.judge(STANDING, cut(wait), 100.0 + wait) == ACCEPTED


def test_shortened__files_were_changed_in_place__counts_for_what_they_declared_only() -> None:
    declared_in = {"Container/web": "a.yaml", "Container/db": "b.yaml", "Container/api": "b.yaml"}
    changed = {"a.yaml": 3.0, "b.yaml": 9.0, "c.yaml": 1.0}

    def shortened(*missing: str, **files: float) -> float | None:
        return acceptance.shortened(frozenset(missing), declared_in, files or changed)

    assert shortened() is None
    assert shortened("Container/web") == shortened("Container/web", "Container/db") == 3.0
    assert shortened("Container/db") == 9.0
    assert shortened("Container/web", "Container/db", "Container/api") == 3.0
    assert shortened("Container/db", a=1.0) is None
    assert shortened("the login of pull at registry.example") == 1.0
    assert acceptance.shortened(frozenset({"the login of pull"}), {}, {}) is None


def test_data_of__volumes__are_those_whose_data_is_removed_with_them() -> None:
    volumes = tuple(
        volume.VolumeConfig(policy.value, volume.VolumeDriver.LOCAL, (), policy) for policy in volume.DeletionPolicy
    )
    assert acceptance.data_of(state.DesiredState.of("r1", volumes)) == {"Volume/Delete"}
