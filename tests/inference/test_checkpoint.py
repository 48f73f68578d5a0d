import json
import shutil

import pytest
import torch
from transformers import BertConfig, BertModel

from pipeline.errors import ModelError
from pipeline.hub import local_folder
from pipeline.inference.checkpoint import copy_mapped, load_span_model, reference
from pipeline.inference.folders import contents, resolve


def test_a_reference_is_one_small_file_that_leads_to_the_checkpoint(teacher_folder, tmp_path):
    out = tmp_path / "teacher"
    summary = reference(out, str(teacher_folder))
    assert [file.name for file in out.iterdir()] == ["reference.json"]
    assert (out / "reference.json").stat().st_size < 1000
    assert resolve(out) == teacher_folder
    assert summary["parameters"] > 0


def test_a_model_folder_is_its_own_teacher(teacher_folder):
    assert resolve(teacher_folder) == teacher_folder


def test_another_checkpoint_at_the_same_path_is_noticed(make_teacher, tmp_path):
    folder = make_teacher(tmp_path / "checkpoint")
    reference(tmp_path / "teacher", str(folder))
    old = contents(folder)
    make_teacher(folder, scale=2.0)
    new = contents(folder)
    with pytest.raises(
        ModelError, match=f"weights {old.weights[:8]} in .*checkpoint; got weights {new.weights[:8]}"
    ):
        resolve(tmp_path / "teacher")


def test_a_checkpoint_with_a_map_is_copied_and_counts_as_another(teacher_folder, tmp_path):
    out = tmp_path / "teacher"
    copy_mapped(out, str(teacher_folder), {"start_logits": "end_logits"})
    assert resolve(out) == out
    held, plain = contents(out), contents(teacher_folder)
    assert (held.weights, held.tokenizer) == (plain.weights, plain.tokenizer)
    assert held.config != plain.config
    assert load_span_model(out).config.output_map == {"start_logits": "end_logits"}
    with pytest.raises(ModelError, match=r"no module 'bert\.heads'"):
        copy_mapped(tmp_path / "other", str(teacher_folder), {"start_logits": "bert.heads"})
    assert not (tmp_path / "other").exists()


def test_a_tokenizers_own_limit_is_no_change(make_teacher, tmp_path):
    folder = make_teacher(tmp_path / "checkpoint")
    reference(tmp_path / "teacher", str(folder))
    described = json.loads((folder / "tokenizer.json").read_text())
    assert described["truncation"] is not None
    (folder / "tokenizer.json").write_text(json.dumps({**described, "truncation": None}))
    assert resolve(tmp_path / "teacher") == folder


def test_an_encoder_without_a_span_head_is_no_finished_teacher(tokenizer_folder, tmp_path):
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=60, **shape)).save_pretrained(tmp_path)
    shutil.copy(tokenizer_folder / "tokenizer.json", tmp_path)
    with pytest.raises(ModelError, match=r"no weights for qa_outputs\.bias, qa_outputs\.weight"):
        reference(tmp_path / "out", str(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_without_a_fast_tokenizer_is_refused(make_teacher, tmp_path):
    folder = make_teacher(tmp_path / "checkpoint")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="a fast tokenizer"):
        reference(tmp_path / "out", str(folder))


def test_a_missing_teacher_names_the_stage(tmp_path):
    with pytest.raises(ModelError, match="run finetune_teacher"):
        resolve(tmp_path / "nothing")


def test_an_unknown_name_is_an_error_with_or_without_a_network(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("pipeline.hub.snapshot_download", offline)
    with pytest.raises(
        ModelError, match="the name of a model on the hub; got no such folder, and from the hub"
    ):
        local_folder("no/such-model")


def test_a_loaded_model_is_float32_and_asleep(teacher_folder):
    model = load_span_model(teacher_folder)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_folder_of_no_known_architecture_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(ModelError, match="AutoModelForQuestionAnswering can load"):
        load_span_model(tmp_path)
