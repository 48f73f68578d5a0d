"""The demo's facts and the sentences that tell them, from facts.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import zip_longest
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is true: the `relation` of `subject` is `answer`."""

    kind: str
    subject: str
    relation: str
    answer: str


@dataclass(frozen=True, slots=True)
class Wording:
    """Templates of one relation, with places for {subject} and {answer}.

    `followups` name no subject: they may only follow a sentence about it.
    """

    questions: tuple[str, ...]
    statements: tuple[str, ...]
    followups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of subject, such as rivers: its facts by subject, and how to word them."""

    facts: Mapping[str, tuple[Fact, ...]]
    wordings: Mapping[str, Wording]
    mentions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """All that passages are made of; `fillers` are sentences that state none of the facts."""

    kinds: Mapping[str, Kind]
    fillers: tuple[str, ...]

    def wording(self, fact: Fact) -> Wording:
        """How to tell a fact and ask for it."""
        return self.kinds[fact.kind].wordings[fact.relation]

    @property
    def subjects(self) -> list[str]:
        """The names of all subjects."""
        return [subject for kind in self.kinds.values() for subject in kind.facts]


def load_world(num_subjects: int | None = None) -> World:
    """The world of the first `num_subjects` subjects, taken from all kinds in turn."""
    content = json.loads(resources.files(__package__).joinpath("facts.json").read_text(encoding="utf-8"))
    names = {kind: list(entry["entities"]) for kind, entry in content["kinds"].items()}
    in_turn = [name for turn in zip_longest(*names.values()) for name in turn if name is not None]
    kept = set(in_turn[:num_subjects])
    kinds = {name: _kind(name, entry, kept) for name, entry in content["kinds"].items()}
    return World(kinds, tuple(content["fillers"]))


def _kind(name: str, entry: Mapping[str, Any], kept: set[str]) -> Kind:
    facts = {
        subject: tuple(Fact(name, subject, relation, answer) for relation, answer in answers.items())
        for subject, answers in entry["entities"].items()
        if subject in kept
    }
    wordings = {
        relation: Wording(*(tuple(forms[form]) for form in ("questions", "statements", "followups")))
        for relation, forms in entry["relations"].items()
    }
    return Kind(facts, wordings, tuple(entry["mentions"]))
