"""What the rest of the agent knows of each kind of action, in one table: its words are what people read of it."""

import typing

import pytest

from agent.model.key import Kind, ObjectKey
from agent.plan import actions
from agent.reasons import Reason
from tests import builders

TRAITS = """
EnsureImage          create  fetching       fetched           fetch
CreateVolume         create  creating       created           work
DisconnectContainer  change  disconnecting  disconnected      work   ends_without_object keeps_running
CreateContainer      create  creating       created           work
StopContainer        change  stopping       stopped           stop   ends_without_object
RemoveContainer      remove  removing       removed           work   ends_without_object
RemoveNetwork        remove  removing       removed           work   ends_without_object
CreateNetwork        create  creating       created           work
RenameContainer      change  renaming       renamed           work
ConnectContainer     change  connecting     connected         work   keeps_running
UpdateContainer      change  updating       updated_in_place  work   keeps_running
StartContainer       change  starting       started           work
RemoveImage          remove  removing       removed           work   ends_without_object
RemoveVolume         remove  removing       removed           work   ends_without_object
""".strip().splitlines()
"""In the order in which they come where several could."""
KINDS: dict[str, type[actions.Action]] = {kind.__name__: kind for kind in typing.get_args(actions.Action)}


@pytest.mark.parametrize("line", TRAITS, ids=lambda line: line.split()[0])
def test_traits__of_each_action__are_its_words_its_bound_and_what_it_leaves(line: str) -> None:
    name, effect, doing, done, lane, *flags = line.split()
    traits: actions.Traits = KINDS[name].TRAITS
    assert (traits.effect.value, traits.doing, traits.done) == (effect, doing, done.replace("_", " "))
    assert (traits.lane.value, traits.ends_without_object, traits.keeps_running) == (
        lane,
        "ends_without_object" in flags,
        "keeps_running" in flags,
    )


def test_phase__of_each_action__is_its_place_in_the_table() -> None:
    order = sorted(KINDS, key=lambda name: KINDS[name].TRAITS.phase)
    assert order == [line.split()[0] for line in TRAITS]


def test_ensure_image__nothing_is_said_of_what_it_stands_for__is_pulled_by_its_reference() -> None:
    cause = actions.Cause(Reason.MISSING, "not there yet")
    key = ObjectKey(Kind.IMAGE, builders.IMAGE)
    assert actions.EnsureImage(key, cause, builders.image_config()).pinned == ""
