"""How an image or a manifest says who a program runs as: ``user[:group]``, names or numbers."""

_ROOT = "0"


def user_part(user: str) -> str:
    """Return the user of ``user[:group]``; where none is named (``""``, ``:0``) it is root's id, as in every engine."""
    return user.partition(":")[0] or _ROOT


def root_problem(user: str) -> str:
    """Return what keeps ``user[:group]`` from being known as another one than root; empty: nothing does.

    A name may be anybody's in the image, root's too, and so may a spelling that only some engines take for a number.
    """
    name = user_part(user)
    if not (name.isascii() and name.isdecimal()):
        return f"must be a number, and is {name!r}, which an image may give to root"
    return "must not be 0, which is root" if not name.strip(_ROOT) else ""
