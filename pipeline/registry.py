"""Tables from a name to code, loaded when first asked for.

A table holds independent things only (losses, readers, backends): one line adds one.
"""

import difflib
import importlib
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ParamsError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint that ends a sentence about an unknown `name`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listing = f"known: {', '.join(names) or 'none'}"
    return f"did you mean {close[0]!r}? ({listing})" if close else listing


@dataclass(frozen=True)
class Table:
    """Names of one kind of thing, each with where its code stands.

    Args:
        kind: What the names stand for, for messages: "loss", "reader".
        entries: From a name to "module:attribute".
    """

    kind: str
    entries: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.entries)

    def load(self, name: str) -> Any:
        """The thing called `name`.

        Raises:
            ParamsError: No such name.
        """
        if name not in self.entries:
            raise ParamsError(
                f"{self.kind} {name!r}",
                expected=f"the name of a {self.kind}",
                got=repr(name),
                remedy=did_you_mean(name, self.entries),
            )
        module, attribute = self.entries[name].split(":")
        return getattr(importlib.import_module(module), attribute)

    def option_problems(self, name: str, options: Mapping[str, Any]) -> list[str]:
        """What is wrong with `options` for `name`, judged by the factory's keyword-only arguments.

        Types are judged where the annotation is a plain one, such as `int` or `str | None`.
        """
        accepted = {
            parameter.name: parameter
            for parameter in inspect.signature(self.load(name)).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        unknown = [
            f"unknown option {option!r} of {self.kind} {name!r}; {did_you_mean(option, accepted)}"
            for option in options
            if option not in accepted
        ]
        missing = [
            f"option {option!r} of {self.kind} {name!r} is missing"
            for option, parameter in accepted.items()
            if parameter.default is inspect.Parameter.empty and option not in options
        ]
        misfits = [
            f"option {option!r} of {self.kind} {name!r} must be {_plain(kinds)}, not {value!r}"
            for option, value in options.items()
            if option in accepted and not _fits(value, kinds := _kinds(accepted[option].annotation))
        ]
        return unknown + missing + misfits


_PLAIN = (bool, int, float, str, types.NoneType)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows; none where it is not made of plain ones."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return kinds if all(kind in _PLAIN for kind in kinds) else ()


def _fits(value: Any, kinds: tuple[Any, ...]) -> bool:
    # True is an int to Python, and 1 a fine float.
    return not kinds or type(value) in kinds or (type(value) is int and float in kinds)


def _plain(kinds: tuple[Any, ...]) -> str:
    return " or ".join("None" if kind is types.NoneType else kind.__name__ for kind in kinds)
