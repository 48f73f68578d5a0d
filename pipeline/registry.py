"""Tables from a name to code, loaded when first asked for.

A table holds independent things only (losses, readers, backends): one line adds one. An extensible table
takes code from outside the package too, as "module:attribute" wherever one of its names may stand.
"""

import difflib
import importlib
import inspect
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ParamsError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint that ends a sentence about an unknown `name`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listing = f"known: {', '.join(names) or 'none'}"
    return f"did you mean {close[0]!r}? ({listing})" if close else listing


_PATH = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def is_path(name: str) -> bool:
    """Whether `name` has the form "module:attribute"."""
    return _PATH.fullmatch(name) is not None


def find_here() -> None:
    """Have modules looked for in the working directory too: that of a console script is another folder."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def imported(path: str) -> Any:
    """What stands at `path`, "module:attribute"; modules are looked for in the working directory too.

    Raises:
        ParamsError: There is no such module or attribute, or the module fails when it is imported.
    """
    name, attribute = path.split(":")
    find_here()
    try:
        module = importlib.import_module(name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        absent = f"{name}.".startswith(f"{missing}.")
        raise ParamsError(
            f"{path!r}",
            expected="a module that can be imported",
            got=f"no module {missing!r}" if absent else f"{type(error).__name__}: {error}",
            remedy=f"put it into {os.getcwd()}, or install it" if absent else f"mend {name}",
        ) from error
    if not hasattr(module, attribute):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise ParamsError(
            f"{path!r}",
            expected=f"an attribute of {module.__file__}",
            got=f"no {attribute!r}",
            remedy=did_you_mean(attribute, public),
        )
    return getattr(module, attribute)


@dataclass(frozen=True)
class Table:
    """Names of one kind of thing, each with where its code stands.

    Args:
        kind: What the names stand for, for messages: "loss", "reader".
        entries: From a name to "module:attribute".
        arguments: What those who look a thing up call it with, by position. With it "module:attribute"
            itself may stand for a name; never so where names come out of files that others have written.
    """

    kind: str
    entries: Mapping[str, str]
    arguments: tuple[str, ...] | None = None

    def __contains__(self, name: str) -> bool:
        return name in self.entries or (self.is_extensible and is_path(name))

    @property
    def is_extensible(self) -> bool:
        """Whether code outside the package may be named."""
        return self.arguments is not None

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.entries)

    def load(self, name: str) -> Any:
        """The thing called `name`.

        Raises:
            ParamsError: No such name, or nothing can be imported from there.
        """
        if name in self.entries:
            module, attribute = self.entries[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        if name not in self:
            raise ParamsError(
                f"{self.kind} {name!r}", expected=self._expected, got=repr(name), remedy=self._hint(name)
            )
        return imported(name)

    def name_problem(self, name: str) -> str | None:
        """What is wrong with `name`, which may be that of code outside the package; None where nothing is."""
        if name in self.entries:
            return None
        if name not in self:
            return f"unknown {self.kind} {name!r}; {self._hint(name)}"
        try:
            found = imported(name)
        except ParamsError as error:
            return f"{self.kind} {error}"
        return call_problem(found, name, self.kind, self.arguments or ())

    @property
    def _expected(self) -> str:
        return f"the name of a {self.kind}" + (", or module:attribute" if self.is_extensible else "")

    def _hint(self, name: str) -> str:
        return did_you_mean(name, self.entries) + (", or module:attribute" if self.is_extensible else "")

    def option_problems(self, name: str, options: Mapping[str, Any]) -> list[str]:
        """What is wrong with `options` for `name`, judged by the factory's keyword-only arguments.

        Types are judged where the annotation is a plain one, such as `int` or `str | None`.
        """
        accepted = keyword_options(self.load(name))
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
            f"option {option!r} of {self.kind} {name!r} must be {kind_of(accepted[option])}, not {value!r}"
            for option, value in options.items()
            if option in accepted and not fits(value, accepted[option])
        ]
        return unknown + missing + misfits


def call_problem(found: Any, name: str, kind: str, arguments: Sequence[str]) -> str | None:
    """Why `found`, called `name`, does not take `arguments` by position; None where it does."""
    if not callable(found):
        return f"{kind} {name!r} must be a function or a class, not {type(found).__name__}"
    parameters = [
        parameter
        for parameter in inspect.signature(found).parameters.values()
        if parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    needed = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
    if needed <= len(arguments) <= len(parameters):
        return None
    taken = ", ".join(parameter.name for parameter in parameters) or "none"
    wanted = ", ".join(arguments) or "none"
    return f"{kind} {name!r} must take by position {wanted}, and options by keyword; it takes {taken}"


def keyword_options(factory: Any) -> dict[str, inspect.Parameter]:
    """The keyword-only arguments of `factory`, by name."""
    return {
        parameter.name: parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def fits(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether `value` is of the parameter's type, as far as its annotation is a plain one."""
    kinds = _kinds(parameter.annotation)
    # True is an int to Python, and 1 a fine float.
    return not kinds or type(value) in kinds or (type(value) is int and float in kinds)


def kind_of(parameter: inspect.Parameter) -> str:
    """What a value for the parameter must be, for messages."""
    kinds = _kinds(parameter.annotation)
    return " or ".join("None" if kind is types.NoneType else kind.__name__ for kind in kinds) or "anything"


_PLAIN = (bool, int, float, str, types.NoneType)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows; none where it is not made of plain ones."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return kinds if all(kind in _PLAIN for kind in kinds) else ()
