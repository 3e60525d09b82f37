"""Numbers of things in sentences: ``1 object``, ``2 objects``."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun; ``plural`` where that is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
