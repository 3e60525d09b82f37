"""Instructions of ``image import --change``."""

import pytest
import typer

from agent.cli import changes
from agent.runtime import api


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], api.RootImage()),
        (['CMD ["/bin/a", "b c"]'], api.RootImage(command=("/bin/a", "b c"))),
        (["cmd echo $HOME"], api.RootImage(command=("/bin/sh", "-c", "echo $HOME"))),
        (["CMD []"], api.RootImage()),
        (['ENTRYPOINT ["/e"]', 'ENTRYPOINT ["/f"]'], api.RootImage(entrypoint=("/f",))),
        (['ENV B="c d" A=1', "ENV B=2"], api.RootImage(env=(("A", "1"), ("B", "2")))),
        (["ENV A b c"], api.RootImage(env=(("A", "b c"),))),
        (["ENV A="], api.RootImage(env=(("A", ""),))),
        (["LABEL a.b/c=d=e"], api.RootImage(labels=(("a.b/c", "d=e"),))),
        (["USER 1:2", "WORKDIR /srv"], api.RootImage(user="1:2", working_dir="/srv")),
    ],
)
def test_changes__as_in_a_dockerfile__are_understood(told: list[str], expected: api.RootImage) -> None:
    assert changes.root_image(told) == expected


@pytest.mark.parametrize(
    "told", ["", "CMD", "RUN x", "CMD [1]", 'CMD ["a"', "ENV A=1 B", "ENV =1", "ENV A='1", "CMDx y"]
)
def test_changes__anything_else__names_the_flag(told: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"^--change: "):
        changes.root_image([told])
