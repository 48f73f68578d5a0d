"""How tags mark entities: brought from the schemes in use to IOB2."""

from collections.abc import Callable, Sequence

from pipeline.errors import ParamsError
from pipeline.registry import did_you_mean

ToIob2 = Callable[[Sequence[str]], list[str]]


def to_iob2(scheme: str, reader: str) -> ToIob2:
    """What brings a sentence's tags to IOB2.

    A tag that goes on with an entity that has not begun begins one, as conlleval has it.

    Args:
        scheme: iob1, iob2 or bioes.
        reader: Whose option it is.

    Raises:
        ParamsError: There is no such scheme.
    """
    if scheme not in _TO_IOB2:
        raise ParamsError(
            f"option 'scheme' of reader {reader!r}",
            expected="a scheme of tags",
            got=repr(scheme),
            remedy=did_you_mean(scheme, _TO_IOB2),
        )
    return _TO_IOB2[scheme]


def is_tag(tag: str) -> bool:
    """Whether it is O, or one of the marks of the schemes with a type."""
    mark, _, kind = tag.partition("-")
    return tag == "O" or (mark in "BIESLU" and len(mark) == 1 and bool(kind))


def _from_iob(tags: Sequence[str]) -> list[str]:
    """IOB1 begins an entity with B only where it follows one of its type, IOB2 always."""
    found, before = [], "O"
    for tag in tags:
        goes_on = tag[:2] == "I-" and before[2:] == tag[2:]
        before = tag if tag == "O" else f"{'I' if goes_on else 'B'}-{tag[2:]}"
        found.append(before)
    return found


def _from_bioes(tags: Sequence[str]) -> list[str]:
    """S (or U) is an entity of one word, E (or L) ends one of several."""
    marks = {"S": "B", "U": "B", "E": "I", "L": "I"}
    return _from_iob([tag if tag == "O" else f"{marks.get(tag[0], tag[0])}-{tag[2:]}" for tag in tags])


_TO_IOB2 = {"iob1": _from_iob, "iob2": _from_iob, "bioes": _from_bioes}
