"""Instructions of ``image import --change``."""

import click
import pytest

from agent.cli import changes
from agent.oci import archives


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], archives.RootImage()),
        (['CMD ["/bin/a", "b c"]'], archives.RootImage(command=("/bin/a", "b c"))),
        (["cmd echo $HOME"], archives.RootImage(command=("/bin/sh", "-c", "echo $HOME"))),
        (["CMD []"], archives.RootImage()),
        (['ENTRYPOINT ["/e"]', 'ENTRYPOINT ["/f"]'], archives.RootImage(entrypoint=("/f",))),
        (['ENV B="c d" A=1', "ENV B=2"], archives.RootImage(env=(("A", "1"), ("B", "2")))),
        (["ENV A b c"], archives.RootImage(env=(("A", "b c"),))),
        (["ENV A="], archives.RootImage(env=(("A", ""),))),
        (["LABEL a.b/c=d=e"], archives.RootImage(labels=(("a.b/c", "d=e"),))),
        (["USER 1:2", "WORKDIR /srv"], archives.RootImage(user="1:2", working_dir="/srv")),
    ],
)
def test_changes__as_in_a_dockerfile__are_understood(command: list[str], expected: archives.RootImage) -> None:
    assert changes.root_image(command) == expected


@pytest.mark.parametrize(
    "command", ["", "CMD", "RUN x", "CMD [1]", 'CMD ["a"', "ENV A=1 B", "ENV =1", "ENV A='1", "CMDx y"]
)
def test_changes__anything_else__names_the_flag(command: str) -> None:
    with pytest.raises(click.BadParameter, match=r"^--change: "):
        changes.root_image([command])
