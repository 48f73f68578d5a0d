import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipeline.errors import ModelError
from pipeline.evaluation.reader import Reader, read_all
from pipeline.evaluation.rows import windows
from pipeline.text.tokenizers import Encoder


def encoded(folder, texts):
    found = Encoder.open(folder).encode(
        ["where is w1 ?"] * len(texts), texts, max_length=32, max_question_tokens=8
    )
    return [next(windows(row, max_length=32, overlap=0)) for row in found]


def test_batches_change_no_answer(model_folder):
    texts = [" ".join(f"w{(7 * row + at) % 50}" for at in range(1 + 3 * row)) for row in range(8)]
    rows, reader = encoded(model_folder, texts), Reader.open(model_folder)
    done = []
    together = read_all(reader, rows, max_answer_tokens=5, batch_rows=3, advance=done.append)
    assert sum(done) == len(rows)
    for row, span in zip(rows, together, strict=True):
        (alone,) = reader.spans([row], max_answer_tokens=5)
        assert (alone.start, alone.end) == (span.start, span.end)
        assert alone.log_prob == pytest.approx(span.log_prob, abs=1e-5)
        assert 0 < span.probability <= 1


def test_longest_answer(model_folder):
    rows = encoded(model_folder, [" ".join(["w1"] * 20)] * 3)
    for span in read_all(Reader.open(model_folder), rows, max_answer_tokens=1):
        assert span.end - span.start == 2


def test_a_row_without_passage_has_no_span(model_folder):
    rows = encoded(model_folder, ["w1 w2", " "])
    reader = Reader.open(model_folder)
    assert [span is None for span in read_all(reader, rows, max_answer_tokens=5)] == [False, True]
    assert reader.spans([rows[1]], max_answer_tokens=5) == [None]


def test_longest_row(make_model):
    assert Reader.open(make_model(max_length=48)).max_length == 48
    assert Reader.open(make_model(max_length=514)).max_length == 512


def test_no_folder(tmp_path):
    with pytest.raises(ModelError, match=r"expected a model folder with config\.json; got no such folder"):
        Reader.open(tmp_path / "nowhere")


def test_no_span_head(model_folder, tmp_path):
    folder = tmp_path / "headless"
    shutil.copytree(model_folder, folder)
    tensors = {name: values for name, values in load_file(folder / "model.safetensors").items()}
    del tensors["qa_outputs.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for qa_outputs\.weight"):
        Reader.open(folder)


def test_damaged_weights(model_folder, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(model_folder, folder)
    (folder / "model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ModelError, match="expected a span model"):
        Reader.open(folder)


def test_weights_are_read_as_float32(model_folder, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(model_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    half = {name: values.astype(np.float16) for name, values in tensors.items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    assert {str(weight.dtype) for weight in Reader.open(folder).model.parameters()} == {"torch.float32"}
