"""Who a program runs as: no spelling that the engine takes for root passes for somebody else."""

import pathlib

import pytest

from agent import errors
from agent.engine.bundle import users
from agent.engine.kernel import linux
from agent.model import hostaccess
from agent.oci import accounts
from agent.runtime import admitted

RESTRICTED = hostaccess.HostAccess(refuses_root=True)
COLONS = ("", ":", ":0", ":1000", "0:0", "0:1000", " :0")
SPELLINGS = (*COLONS, "0", "00", "+0", "-0", " 0", "0 ", "\t0", "0" * 5000, "root")


@pytest.mark.parametrize("user", SPELLINGS)
def test_root__however_it_is_spelled__is_not_admitted(user: str) -> None:
    assert accounts.root_problem(user)
    for own, of_image in ((user, "1000"), ("", user)):
        if own or of_image != "1000":
            with pytest.raises(errors.InvalidArgument) as raised:
                admitted.check_user(RESTRICTED, own, of_image)
            assert raised.value.reason == "RunsAsRoot"


@pytest.mark.parametrize("user", ["1", "1000", "1000:0", "01000:x", "65534:"])
def test_somebody_else__is_admitted(user: str) -> None:
    assert admitted.check_user(RESTRICTED, user, "0") is None
    assert admitted.check_user(RESTRICTED, "", user) is None


@pytest.mark.parametrize("user", [*SPELLINGS, "1000", "1000:5", "5:"])
def test_whatever_the_engine_runs_as_root__is_a_problem(tmp_path: pathlib.Path, user: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n 0:x:0:0::/:\n1000:x:0:0::/:\n")
    try:
        uid = users.resolve(linux.LinuxKernel(), tmp_path, user).uid
    except errors.InvalidArgument:
        return
    assert bool(accounts.root_problem(user)) == (uid == 0)
