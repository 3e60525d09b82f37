"""What a long-lived process need not load. Each in a process of its own: what is imported once stays."""

import subprocess
import sys


def run(*lines: str) -> str:
    program = "\n".join(("import sys", "from agent.kit import lean", *lines))
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_without__a_package__looks_as_if_it_were_not_installed_and_is_there_again() -> None:
    told = run(
        "with lean.without('rich'):",
        "    try:",
        "        import rich",
        "    except ImportError:",
        "        print('missing')",
        "import rich",
        "print('there')",
    )
    assert told.split() == ["missing", "there"]


def test_bare__a_package_that_imports_everything__gives_its_modules_without_the_rest() -> None:
    told = run(
        "with lean.bare('pyroute2'):",
        "    from pyroute2.netlink.rtnl.rtmsg import rtmsg",
        "print(rtmsg.__name__, 'pyroute2.ndb.main' in sys.modules)",
        "import pyroute2",
        "print(pyroute2.IPRoute.__name__)",
    )
    assert told.splitlines() == ["rtmsg False", "IPRoute"]


def test_bare__a_package_that_is_loaded_already__is_left_as_it_is() -> None:
    told = run(
        "import email",
        "with lean.bare('email'):",
        "    import email as again",
        "print(again is email)",
    )
    assert told == "True"
