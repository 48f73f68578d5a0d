import subprocess
import sys

import numpy as np
import pytest

from pipeline import fingerprint
from pipeline.binding.bind import TRAIN, EvaluationSet, Source, bind
from pipeline.binding.inputs import Inputs
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.arrow import ArrowBackend
from pipeline.cache.manifest import load_manifest
from pipeline.errors import DataError, MismatchError, ParamsError
from pipeline.files import read_json, write_json
from pipeline.objectives.fit import check_fit
from pipeline.schema import Passage
from pipeline.tables import read_rows, write_rows
from pipeline.tasks.answers import span_text

FIELDS = ("span_logits", "top_spans")
COLUMNS = ("end_logits", "start_logits")


@pytest.fixture
def bound(tmp_path, words, dataset, teacher):
    """Binds the student, with settings changed at will."""

    def run(fields=FIELDS, out="inputs", **changes):
        targets = TargetSet(tmp_path / "bert_foxes", fields, COLUMNS)
        settings = {
            "name": "student",
            "language": "en",
            "tokenizer": words,
            "max_length": 64,
            "max_question_tokens": 20,
            "sources": [Source(0, 0, dataset, "train", {"bert": targets} if fields else {})],
            "evaluate": [EvaluationSet(dataset, "dev")],
            "lost_mass_limit": 0.05,
        }
        return bind(tmp_path / out, **settings | changes)

    return run


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def texts_at(columns, name, passages):
    spans = [columns[name].row(row).tolist() for row in range(len(passages))]
    offsets = [columns["passage_offsets"].row(row).reshape(-1, 2) for row in range(len(passages))]
    return [
        span_text(span[0], span[1], offset, passage.text) if span[0] >= 0 else None
        for span, offset, passage in zip(spans, offsets, passages, strict=True)
    ]


def test_a_source_holds_tokens_gold_and_the_identity_of_rows(bound, dataset):
    (source,) = bound().sources
    columns, passages = source.columns(), read_rows(dataset / "train.arrow", Passage)
    assert texts_at(columns, "gold", passages) == ["Red foxes", "Oslo", None, "Red foxes"]
    assert (source.rows, source.gold_rows, source.cut_rows) == (4, 3, 0)
    hashes = [fingerprint.input_hash(row.question, row.text) for row in passages]
    for row, occurrence in enumerate([0, 0, 0, 1]):
        expected = hashes[row] + occurrence.to_bytes(4, "little")
        assert columns["row_id"].row(row).tobytes() == expected
    first, last = columns["passage"].row(0)
    assert last - first == len(columns["passage_offsets"].row(0)) // 2
    assert "character_ids" not in columns


def test_maps_lead_from_the_teachers_tokens_to_the_students(bound, teacher):
    (source,) = bound().sources
    columns = source.columns()
    for row, encoded in enumerate(teacher.rows):
        offsets = columns["passage_offsets"].row(row).reshape(-1, 2)
        start_map, end_map = columns["bert/start_map"].row(row), columns["bert/end_map"].row(row)
        assert len(start_map) == len(end_map) == len(encoded.passage_offsets)
        for (start, end), first, last in zip(encoded.passage_offsets, start_map, end_map, strict=True):
            assert offsets[first][0] <= start < offsets[first][1]
            assert offsets[last][0] < end <= offsets[last][1]


def test_the_confusing_answer_avoids_every_gold_answer(bound, dataset):
    (source,) = bound().sources
    passages = read_rows(dataset / "train.arrow", Passage)
    assert texts_at(source.columns(), "bert/confusing", passages) == ["one brown", "foxes", None, "one brown"]
    assert source.targets["bert"]["confusing_rows"] == 3


def test_confusing_answers_are_chosen_only_where_asked_for(bound):
    (source,) = bound(fields=("span_logits",)).sources
    assert set(source.columns()["bert/confusing"].values.tolist()) == {-1}
    assert source.targets["bert"]["confusing_rows"] == 0


def test_the_description_pins_the_fields_used_and_no_others(bound, tmp_path):
    (source,) = bound(fields=("span_logits",)).sources
    assert source.targets["bert"] == {
        "set": "bert_foxes",
        "columns": ["end_logits", "start_logits"],
        "fields": ["span_logits"],
        "identity": {"span_logits": load_manifest(tmp_path / "bert_foxes").identity["span_logits"]},
        "options": {"span_logits": {"dtype": "float32"}},
        "equal_tokens": False,
        "lost": {"start": 0.0, "end": 0.0},
        "confusing_rows": 0,
    }


def test_a_student_with_the_teachers_tokenizer_gets_the_identity_map(bound, pieces):
    columns = bound(tokenizer=pieces).sources[0].columns()
    for row in range(4):
        identity = np.arange(len(columns["passage_offsets"].row(row)) // 2)
        np.testing.assert_array_equal(columns["bert/start_map"].row(row), identity)
        np.testing.assert_array_equal(columns["bert/end_map"].row(row), identity)


def test_lost_mass_is_what_the_softmax_gives_to_lost_tokens(bound, teacher):
    (source,) = bound(max_length=14, max_question_tokens=6, lost_mass_limit=1.0).sources
    columns = source.columns()
    for side in ("start", "end"):
        shares = []
        # Row 3 is row 0 again: the teacher reads it once.
        for row, read in enumerate([0, 1, 2, 0]):
            exps = np.exp(getattr(teacher, f"{side}_logits")[read])
            shares.append(exps[columns[f"bert/{side}_map"].row(row) < 0].sum() / exps.sum())
        assert source.targets["bert"]["lost"][side] == pytest.approx(np.mean(shares), abs=1e-4)
        assert np.mean(shares) > 0.2
    assert source.cut_rows == 4


def test_too_much_lost_mass_is_refused_and_leaves_nothing(bound, tmp_path):
    with pytest.raises(DataError, match=r"bert_foxes: expected 95\.0% .* raise max_length"):
        bound(max_length=14, max_question_tokens=6)
    assert not files_in(tmp_path / "inputs")


def test_a_loss_of_equal_tokens_is_refused_where_the_length_limit_cuts_rows(bound, pieces, tmp_path):
    def check(sources):
        check_fit("student", [[{"loss": "kd_mse", "from": "bert"}]], sources)

    assert bound(tokenizer=pieces, check=check)
    with pytest.raises(
        ParamsError, match=r"phases\.0\.terms: kd_mse: .* the teacher's tokenizer and its length"
    ):
        bound(
            tokenizer=pieces,
            check=check,
            out="cut",
            max_length=14,
            max_question_tokens=6,
            lost_mass_limit=1.0,
        )
    assert not files_in(tmp_path / "cut")


def test_mass_counts_only_where_logits_are_read(bound):
    (source,) = bound(fields=("top_spans",), max_length=14, max_question_tokens=6).sources
    assert source.targets["bert"]["lost"] == {}


def test_a_field_that_the_cache_lacks_is_named(bound):
    with pytest.raises(MismatchError, match=r"without hidden_states.*run cache_targets"):
        bound(fields=("hidden_states",))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_another_evaluation_set_changes_nothing_that_training_reads(bound, tmp_path, dataset):
    bound()
    before = contents(tmp_path / "inputs" / TRAIN)
    bound(evaluate=[EvaluationSet(dataset, "dev"), EvaluationSet(dataset, "train")])
    assert contents(tmp_path / "inputs" / TRAIN) == before
    assert set(read_json(tmp_path / "inputs" / "evaluate" / "inputs.json")["sets"]) == {
        "foxes.dev",
        "foxes.train",
    }


def test_what_is_scored_while_training_lies_beside_the_sources(bound, tmp_path, dataset):
    bound()
    before = contents(tmp_path / "inputs" / TRAIN)
    assert "development" not in read_json(tmp_path / "inputs" / TRAIN / "inputs.json")
    bound(
        development=[EvaluationSet(dataset, "dev")],
        max_answer_tokens=7,
        null_score_diff_threshold=1.5,
        code={"own": "1"},
    )
    held = Inputs.open(tmp_path / "inputs" / TRAIN)
    assert held.code == {"own": "1"}
    assert held.development["max_answer_tokens"] == 7
    assert held.development["null_score_diff_threshold"] == 1.5
    assert "free_text" not in held.development
    entry = held.development["sets"]["foxes.dev"]
    after = contents(tmp_path / "inputs" / TRAIN)
    assert after.keys() - before.keys() == {entry["file"], entry["passages"]}
    bound(development=[EvaluationSet(dataset, "dev")], max_answer_tokens=7, free_text=["foxes", "others"])
    assert Inputs.open(tmp_path / "inputs" / TRAIN).development["free_text"] == ["foxes"]


def test_equal_work_gives_equal_bytes(bound, tmp_path):
    bound()
    bound(out="again")
    for part in (TRAIN, "evaluate"):
        assert contents(tmp_path / "inputs" / part) == contents(tmp_path / "again" / part)


def test_evaluation_inputs(bound, tmp_path, dataset, words):
    bound()
    folder = tmp_path / "inputs" / "evaluate"
    described = read_json(folder / "inputs.json")
    assert described == {
        "name": "student",
        "language": "en",
        "tokenizer": fingerprint.tokenizer(words),
        "max_length": 64,
        "sets": {
            "foxes.dev": {
                "rows": 1,
                "cut_rows": 0,
                "file": "foxes.dev.arrow",
                "passages": "foxes.dev.passages.arrow",
            }
        },
    }
    columns, _ = ArrowBackend().open(folder / "foxes.dev.arrow")
    assert not [name for name in columns if "/" in name]
    assert read_rows(folder / "foxes.dev.passages.arrow", Passage) == read_rows(
        dataset / "dev.arrow", Passage
    )


def test_a_teacher_is_bound_for_evaluation_alone(bound, tmp_path):
    assert bound(sources=[]) is None
    assert [path.name for path in (tmp_path / "inputs").iterdir()] == ["evaluate"]


def test_a_student_without_targets_reads_no_cache(bound):
    (source,) = bound(fields=()).sources
    assert source.targets == {}
    assert not [name for name in source.columns() if "/" in name]


def test_initial_weights_lie_beside_the_sources(bound):
    assert bound().initial_weights is None
    inputs = bound(initial=lambda path: path.write_bytes(b"weights"))
    assert inputs.initial_weights.read_bytes() == b"weights"


def test_each_source_of_each_phase_has_a_file_of_its_own(bound, dataset, tmp_path):
    targets = {"bert": TargetSet(tmp_path / "bert_foxes", FIELDS, COLUMNS)}
    sources = [
        Source(0, 0, dataset, "train", targets),
        Source(0, 1, dataset, "dev", {}),
        Source(1, 0, dataset, "dev", {}),
    ]
    made = bound(sources=sources).sources
    assert [(source.phase, source.source, source.name, source.rows) for source in made] == [
        (0, 0, "foxes.train", 4),
        (0, 1, "foxes.dev", 1),
        (1, 0, "foxes.dev", 1),
    ]
    assert [set(source.targets) for source in made] == [{"bert"}, set(), set()]
    assert len({source.path for source in made}) == 3
    assert not [name for name in made[1].columns() if name.startswith("bert/")]


def test_empty_and_missing_splits_are_refused(bound, dataset):
    write_rows(dataset / "empty.arrow", Passage, [])
    with pytest.raises(DataError, match=r"empty\.arrow: expected passages; got none"):
        bound(evaluate=[EvaluationSet(dataset, "empty")])
    with pytest.raises(DataError, match="no such file"):
        bound(evaluate=[EvaluationSet(dataset, "test")])


def test_inputs_that_are_not_what_bind_writes_are_refused(bound, tmp_path):
    inputs = bound()
    path = inputs.folder / "inputs.json"
    described = read_json(path)
    described["sources"][0]["rows"] = 5
    write_json(path, described)
    with pytest.raises(DataError, match="expected 5 rows; got 4; run bind again"):
        Inputs.open(inputs.folder).sources[0].columns()
    write_json(path, {"sources": [{"phase": 0}]})
    with pytest.raises(DataError, match="as bind writes it"):
        Inputs.open(inputs.folder)


def test_binding_needs_neither_torch_nor_transformers():
    code = "import sys, pipeline.binding.bind; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
