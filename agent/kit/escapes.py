"""Text of strangers, made harmless before a terminal or a line of a log gets it."""


def printable(text: str) -> str:
    """Give text on one line, without what a terminal would obey: escapes, line ends, marks that turn the direction."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
