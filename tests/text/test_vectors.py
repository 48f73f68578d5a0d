import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pipeline.errors import DataError
from pipeline.text.vectors import (
    VectorFile,
    VectorTraining,
    WordVectors,
    embedding_matrix,
    read_vectors,
    save_vectors,
    train_vectors,
)

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "[SEP]": 2, "elbe": 3, "rhine": 4, "main": 5}


def _write(tmp_path: Path, text: str) -> VectorFile:
    path = tmp_path / "vectors.vec"
    path.write_text(text, encoding="utf-8")
    return VectorFile(path)


@pytest.mark.parametrize("header", ["", "3 2\n"])
def test_reads_with_and_without_a_header(tmp_path: Path, header: str):
    words = read_vectors(_write(tmp_path, header + "elbe 1 2\nmain -1 0.5 \nother 3 4\n"), VOCABULARY)
    assert {word: vector.tolist() for word, vector in words.vectors.items()} == {
        "elbe": [1, 2],
        "main": [-1, 0.5],
    }
    assert (words.dimensions, words.malformed_lines) == (2, 0)


def test_a_word_prefers_its_own_line_to_another_case(tmp_path: Path):
    source = _write(tmp_path, "ELBE 9 9\nElbe 8 8\nelbe 1 2\nMain 3 4\nMAIN 5 6\n")
    words = read_vectors(source, VOCABULARY)
    assert words.vectors["elbe"].tolist() == [1, 2]
    assert words.vectors["main"].tolist() == [3, 4]


def test_malformed_lines_are_counted(tmp_path: Path):
    source = _write(tmp_path, "elbe 1 2\nrhine 1\nmain x 2\nrhine nan 1\n. . 3 4\n\n")
    words = read_vectors(source, VOCABULARY)
    assert set(words.vectors) == {"elbe"}
    assert words.malformed_lines == 3


def test_another_dimension_is_refused(tmp_path: Path):
    source = _write(tmp_path, "elbe 1 2\n")
    with pytest.raises(DataError, match=r"expected vectors of 300 dimensions; got 2 dimensions"):
        read_vectors(VectorFile(source.path, dimensions=300), VOCABULARY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("elbe\n", "0 dimensions"),
        ("other 1 2\n", "none"),
        ("2 2\nelbe 1\n", "1 malformed"),
    ],
)
def test_a_file_of_no_use_is_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(DataError, match=message):
        read_vectors(_write(tmp_path, text), VOCABULARY)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.vec: expected a text file of word vectors; got No such file"):
        read_vectors(VectorFile(tmp_path / "none.vec"), VOCABULARY)


def test_matrix_has_zeros_for_padding_and_small_numbers_for_missing_words(tmp_path: Path):
    words = WordVectors({"elbe": np.array([5, 6], np.float32)}, 2)
    matrix = embedding_matrix(VOCABULARY, words, seed=3)
    assert matrix.dtype == np.float32
    assert matrix[0].tolist() == [0, 0]
    assert matrix[3].tolist() == [5, 6]
    assert (np.abs(matrix[[1, 2, 4, 5]]) < 1).all()
    assert (matrix[4] != matrix[5]).all()
    np.testing.assert_array_equal(matrix, embedding_matrix(VOCABULARY, words, seed=3))
    save_vectors(matrix, tmp_path)
    np.testing.assert_array_equal(load_file(tmp_path / "vectors.safetensors")["embeddings"], matrix)


TRAIN = """
from pipeline.text.vectors import VectorTraining, train_vectors
texts = [["elbe", "flows", "through", "dresden"], ["rhine", "flows", "through", "cologne"]] * 20
words = train_vectors(texts, VectorTraining(dimensions=4, epochs=2, seed=7))
print({word: vector.tobytes().hex() for word, vector in sorted(words.vectors.items())})
"""


def test_training_is_the_same_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", TRAIN],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "dresden" in outputs.pop()


def test_another_seed_gives_other_vectors():
    texts = [["a", "b"]] * 5
    one, two = (train_vectors(texts, VectorTraining(4, epochs=1, seed=seed)).vectors["a"] for seed in (1, 2))
    assert (one != two).any()
