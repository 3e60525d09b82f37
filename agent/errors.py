"""The one base of every error that people are to read: what, where, why, and the way out.

Floor 0: no noun of the house in here. Each room derives its own kinds; nobody matches on an error's text.
"""


class TrimtabError(Exception):
    """An expected failure, told so that the reader can act.

    ``message`` says what is wrong and where; ``hint`` says the way out (empty where there is none to offer).
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep both halves; ``str()`` gives them as one line."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Give the message, and the hint behind it."""
        return f"{self.message} ({self.hint})" if self.hint else self.message
