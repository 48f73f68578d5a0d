"""Tables from a name to code, loaded when first asked for.

A table holds independent things only (losses, readers, backends): one line adds one.
"""

import difflib
import importlib
import inspect
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
        """What is wrong with `options` for `name`, judged by the factory's keyword-only arguments."""
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
        return unknown + missing
