"""docs/params.md names all that a params file may hold."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import stages.sections as sections
from pipeline.augmentation import AUGMENTERS
from pipeline.cache import BACKENDS
from pipeline.cache.fields import FIELDS
from pipeline.cache.mix import MEAN_PROBABILITIES
from pipeline.datasets import READERS
from pipeline.models import ARCHITECTURES
from pipeline.objectives.declarations import COMMON, DECLARATIONS, WEIGHING
from pipeline.objectives.presets import PRESET, PRESETS
from pipeline.objectives.projections import PROJECTIONS
from pipeline.registry import keyword_options
from pipeline.schedules import TEMPERATURE_SCHEDULES, WEIGHT_SCHEDULES
from pipeline.selection import SELECTORS
from pipeline.tasks import TASKS
from pipeline.training.arguments import SETTINGS
from pipeline.training.callbacks import CALLBACKS, LOGGERS
from stages.params import parse

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")
HEADINGS = [(match[1], match.start()) for match in re.finditer(r"^## (\w+)$", PAGE, re.MULTILINE)]
TEXTS = {name: PAGE[start:end] for (name, start), (_, end) in pairwise([*HEADINGS, ("", len(PAGE))])}

# The models of a section whose keys begin a row of a table, and those whose keys stand somewhere in it.
ROWS = {
    "datasets": [sections.Dataset],
    "augmentations": [sections.Augmentation],
    "selection": [sections.Selection],
    "tokenizers": [sections.Tokenizer],
    "teachers": [sections.Teacher],
    "targets": [sections.TargetSet],
    "merges": [sections.Merge],
    "students": [sections.Student, sections.Phase],
    "ensembles": [sections.Ensemble],
    "evaluation": [sections.Evaluation],
}
ANYWHERE = {
    "tokenizers": [sections.Vectors, sections.VectorTraining],
    "teachers": [sections.TeacherTraining],
    "students": [
        sections.Drawing,
        sections.Head,
        sections.Heads,
        sections.Mix,
        sections.Source,
        sections.WarmStart,
    ],
}
# Arguments of a `build` that the pipeline hands it.
HANDED = {"head", "initial"}
# Options of fields that follow from the teacher.
SETTLED = {"num_classes", "num_heads", "width"}

NAMES = {
    "datasets": [*READERS.names(), *TASKS],
    "augmentations": AUGMENTERS.names(),
    "selection": SELECTORS.names(),
    "targets": [*BACKENDS.names(), *FIELDS],
    "students": [
        *ARCHITECTURES.names(),
        *CALLBACKS.names(),
        *COMMON,
        *DECLARATIONS,
        *LOGGERS,
        PRESET,
        *PRESETS,
        *PROJECTIONS.names(),
        *SETTINGS,
        *TEMPERATURE_SCHEDULES.names(),
        *WEIGHING,
        *WEIGHT_SCHEDULES.names(),
    ],
}


def code(text: str) -> set[str]:
    """The words of a text that are set as code."""
    spans = re.findall(r"```.*?```|`[^`\n]+`|^ {4}[^\n]+$", text, re.DOTALL | re.MULTILINE)
    return {word for span in spans for word in re.findall(r"[\w-]+", span)}


def tables(section: str) -> list[list[tuple[set[str], set[str]]]]:
    """The tables of a section: of each row the code of its first cell, and that of all."""
    found = re.findall(r"(?:^\|.*\n)+", TEXTS[section], re.MULTILINE)
    return [[(code(row.split("|")[1]), code(row)) for row in table.splitlines()] for table in found]


def first_cells(tables: list[list[tuple[set[str], set[str]]]]) -> set[str]:
    return set().union(*(first for table in tables for first, _ in table))


def said_of(name: str, section: str) -> set[str]:
    """The code of the rows that begin with `name`, and what begins those of tables with it in their head."""
    found = tables(section)
    rows = (said for table in found for first, said in table if name in first)
    return first_cells([table for table in found if name in table[0][1]]).union(*rows)


def keys(model: type[sections.Section]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_section_has_a_heading() -> None:
    assert set(sections.Params.model_fields) - {"warm_starts"} == TEXTS.keys()
    assert "warm_starts" in code(TEXTS["students"])


def test_no_model_of_a_section_is_forgotten() -> None:
    known = {model for models in [*ROWS.values(), *ANYWHERE.values()] for model in models}
    declared = {
        value
        for value in vars(sections).values()
        if isinstance(value, type) and issubclass(value, sections.Section)
    }
    assert declared - known == {sections.Section, sections.Params}


@pytest.mark.parametrize("section", ROWS)
def test_every_key_begins_a_row(section: str) -> None:
    assert set().union(*map(keys, ROWS[section])) - first_cells(tables(section)) == set()


@pytest.mark.parametrize("section", ROWS)
def test_keys_that_must_be_written_have_a_star(section: str) -> None:
    known = {
        field.alias or name: field for model in ROWS[section] for name, field in model.model_fields.items()
    }
    cells = re.findall(r"^\| ([^|]*) \|", TEXTS[section], re.MULTILINE)
    starred = {key for cell in cells for key in re.findall(r"`(\w+)`\*", cell) if key in known}
    # Of two keys of a merge one must be written.
    assert starred - {MEAN_PROBABILITIES} == {key for key, field in known.items() if field.is_required()} - {
        MEAN_PROBABILITIES
    }


@pytest.mark.parametrize("section", ANYWHERE)
def test_keys_inside_of_keys_are_named(section: str) -> None:
    assert set().union(*map(keys, ANYWHERE[section])) - code(TEXTS[section]) == set()


@pytest.mark.parametrize("section", NAMES)
def test_every_name_stands_in_its_section(section: str) -> None:
    assert set(NAMES[section]) - code(TEXTS[section]) == set()


@pytest.mark.parametrize("name", READERS.names())
def test_a_readers_row_has_its_options(name: str) -> None:
    assert set(keyword_options(READERS.load(name))) - said_of(name, "datasets") == set()


@pytest.mark.parametrize("name", AUGMENTERS.names())
def test_an_augmenters_row_has_its_options(name: str) -> None:
    assert set(keyword_options(AUGMENTERS.load(name))) - said_of(name, "augmentations") == set()


@pytest.mark.parametrize("name", SELECTORS.names())
def test_a_selectors_options_are_keys_of_its_section(name: str) -> None:
    options = set(keyword_options(SELECTORS.load(name)))
    assert options - keys(sections.Selection) - {"language"} == set()


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_an_architectures_row_has_its_options(name: str) -> None:
    shared = {"max_length", "seed"}
    assert shared <= code(TEXTS["students"])
    options = set(keyword_options(ARCHITECTURES.load(name))) - HANDED - shared
    assert options - said_of(name, "students") == set()


@pytest.mark.parametrize("name", FIELDS)
def test_a_fields_row_has_its_options(name: str) -> None:
    shared = {"dtype", "scale"}
    assert shared <= code(TEXTS["targets"])
    options = FIELDS[name].options.keys() - SETTLED - shared
    if FIELDS[name].layers:
        options = options - {"layer"} | {"layers"}
    assert options - said_of(name, "targets") == set()


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_loss_begins_a_row_and_has_its_options(name: str) -> None:
    assert said_of(name, "students")
    assert DECLARATIONS[name].options.keys() - code(TEXTS["students"]) == set()


@pytest.mark.parametrize("page", ["README.md", "docs/params.md"])
def test_whole_examples_pass_the_checks(page: str) -> None:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    whole = [block for block in blocks if block.startswith("datasets:")]
    assert whole
    for block in whole:
        assert parse(yaml.safe_load(block), Path("params.yaml"), models=True).students
