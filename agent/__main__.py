"""``python -m agent`` and the ``trimtab`` command."""

import os
import sys

from agent.cli import main as command

_UMASK = 0o022
"""What is secret is made with a mode of its own. A stricter mask, which OCI runtimes inherit, would close containers'
mount points and directories to every program that is not root."""


def main() -> None:
    """Run the command and exit with its code."""
    os.umask(_UMASK)
    sys.exit(command.main())


if __name__ == "__main__":
    main()
