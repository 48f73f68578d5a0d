"""Which code outside the package params name, and the hash of it: so that edited code counts as changed."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from pipeline.fingerprint import digest
from pipeline.registry import find_here, is_path


def code_of(section: Any) -> dict[str, str]:
    """The modules that the texts "module:attribute" in `section` name, each with the hash of its source.

    The sources of those modules of its own package that it imports count too. Nothing is imported but the
    packages that a module lies in. A text of this form whose module is not found is no reference to code.

    Args:
        section: Params, as mappings, sequences and values.
    """
    modules = {text.split(":")[0] for text in _texts(section) if is_path(text)}
    found = {module: sources for module in sorted(modules) if (sources := _sources(module))}
    return {
        module: digest(part for name in sorted(sources) for part in (name, sources[name])).hex()
        for module, sources in found.items()
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _sources(module: str) -> dict[str, bytes]:
    """The source of `module` and of what it imports of its own package, by name."""
    package = module.split(".")[0]
    sources: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = _spec(name)
        if name in sources or spec is None or not spec.origin or not spec.origin.endswith(".py"):
            continue
        sources[name] = Path(spec.origin).read_bytes()
        within = spec.parent or ""
        waiting += [other for other in _imports(sources[name], within) if other.split(".")[0] == package]
    return sources


def _spec(module: str) -> ModuleSpec | None:
    find_here()
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None  # what a name is imported from may be an object, not a module


def _imports(source: bytes, package: str) -> Iterator[str]:
    """The modules that a source of `package` may import, those included that are objects of modules."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # said where it is imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
