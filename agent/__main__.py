"""``python -m agent`` and the ``trimtab`` command."""

import sys

from agent.cli import main as command


def main() -> None:
    """Run the command and exit with its code."""
    sys.exit(command.main())


if __name__ == "__main__":
    main()
