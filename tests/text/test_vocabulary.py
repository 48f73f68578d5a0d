from pathlib import Path

import pytest
from safetensors.numpy import load_file

from pipeline import fingerprint
from pipeline.errors import ModelError, ParamsError
from pipeline.text.tokenizers import Encoder
from pipeline.text.vectors import VectorFile, VectorTraining
from pipeline.text.vocabulary import vocabulary

TEXTS = ["The Elbe flows.", "The Elbe flows.", "The Rhine flows."]


def test_words_with_vectors_from_a_file(tmp_path: Path):
    file = tmp_path / "v.txt"
    file.write_text("Elbe 1 2\nflows 3 4\nbroken\n")
    out = tmp_path / "words"
    summary = vocabulary(out, kind="words", texts=TEXTS, vectors=VectorFile(file))
    assert summary == {
        "kind": "words",
        "tokens": 8,  # 3 special, the, elbe, flows, rhine, full stop
        "characters": 14,
        "texts": 2,
        "unknown_share": 0.0,
        "vectors": {
            "dimensions": 2,
            "found": 2,
            "share_of_tokens": 0.25,
            "share_of_text": 0.375,  # elbe once, flows twice, of 8 words
            "malformed_lines": 1,
        },
    }
    embeddings = load_file(out / "vectors.safetensors")["embeddings"]
    assert embeddings[Encoder.open(out).vocabulary["elbe"]].tolist() == [1, 2]


def test_characters_with_trained_vectors_replace_what_was_there(tmp_path: Path):
    out = tmp_path / "zh"
    out.mkdir()
    (out / "characters.json").write_text("[]")
    training = VectorTraining(dimensions=4, epochs=1)
    summary = vocabulary(out, kind="characters", texts=["长江流过武汉。"], vectors=training)
    assert summary["characters"] is None
    assert summary["vectors"]["share_of_text"] == 1.0
    assert load_file(out / "vectors.safetensors")["embeddings"].shape == (summary["tokens"], 4)
    assert not (out / "characters.json").exists()


def test_rare_words_show_as_unknown(tmp_path: Path):
    summary = vocabulary(tmp_path / "out", kind="words", texts=["a a b"], min_frequency=2)
    assert summary["unknown_share"] == pytest.approx(1 / 3, abs=1e-6)


def test_a_tokenizer_is_copied_from_a_folder(tmp_path: Path, bert_folder: Path):
    out = tmp_path / "copy"
    summary = vocabulary(out, kind="pretrained", source=bert_folder, texts=["the zambezi"])
    assert fingerprint.tokenizer(out) == fingerprint.tokenizer(bert_folder)
    assert summary["unknown_share"] == 0.5
    assert (out / "tokenizer_config.json").is_file()


def test_a_folder_without_a_fast_tokenizer_leaves_nothing(tmp_path: Path):
    with pytest.raises(ModelError, match="a fast tokenizer"):
        vocabulary(tmp_path / "out", kind="pretrained", source=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "character"}, "did you mean 'characters'"),
        ({"kind": "pretrained"}, "a tokenizer folder for kind 'pretrained'"),
        ({"kind": "words", "source": Path("x")}, "and for no other; got x"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path: Path, options: dict, message: str):
    with pytest.raises(ParamsError, match=message):
        vocabulary(tmp_path / "out", texts=TEXTS, **options)
