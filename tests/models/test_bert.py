import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering, BertModel

from pipeline.errors import ModelError
from pipeline.models import bert
from pipeline.models.layers import extract_layers, origin

SHAPE = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}


@pytest.fixture
def teacher(tmp_path, tokenizer_folder):
    torch.manual_seed(3)
    config = BertConfig(vocab_size=64, num_hidden_layers=4, max_position_embeddings=64, **SHAPE)
    model = BertForQuestionAnswering(config).to(torch.bfloat16)
    folder = tmp_path / "teacher"
    model.save_pretrained(folder)
    shutil.copy(tokenizer_folder / "tokenizer.json", folder)
    return folder


def test_shape_and_vocabulary(tokenizer_folder):
    model = bert.build(tokenizer_folder, num_hidden_layers=3, max_length=48, **SHAPE)
    assert model.config.vocab_size == 64
    assert model.config.pad_token_id == 0
    assert model.config.max_position_embeddings == 48
    assert len(model.bert.encoder.layer) == 3


def test_layers_of_a_teacher(teacher, tokenizer_folder, tmp_path):
    file = tmp_path / "initial.safetensors"
    extract_layers(teacher, [1, 3], file)
    with safe_open(file, "pt") as opened:
        assert opened.get_tensor("bert.encoder.layer.0.output.dense.weight").dtype == torch.bfloat16
    assert origin(file).layers == (1, 3)
    whole = AutoModelForQuestionAnswering.from_pretrained(teacher, dtype=torch.float32)
    shutil.rmtree(teacher)
    student = bert.build(
        tokenizer_folder,
        num_hidden_layers=2,
        initial=file,
        init_from=str(teacher),
        layers=[1, 3],
        max_length=64,
        **SHAPE,
    )
    assert student.dtype == torch.float32
    whole.bert.encoder.layer = torch.nn.ModuleList([whole.bert.encoder.layer[index] for index in (1, 3)])
    expected = whole.state_dict()
    assert student.state_dict().keys() == expected.keys()
    for name, values in student.state_dict().items():
        assert torch.equal(values, expected[name]), name


def test_the_file_of_layers_is_the_same_each_time(teacher, tmp_path):
    for name in ("a", "b"):
        extract_layers(teacher, [0], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_checkpoint_that_holds_its_positions(teacher, tmp_path):
    extract_layers(teacher, [0], tmp_path / "without")
    weights = load_file(teacher / "model.safetensors")
    positions = {"bert.embeddings.position_ids": torch.arange(64)[None]}
    save_file(weights | positions, teacher / "model.safetensors", {"format": "pt"})
    extract_layers(teacher, [0], tmp_path / "with")
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()


def test_a_checkpoint_with_the_names_of_old(teacher, tmp_path):
    extract_layers(teacher, [0], tmp_path / "new")
    weights = load_file(teacher / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): values
        for name, values in weights.items()
    }
    assert old.keys() != weights.keys()
    save_file(old, teacher / "model.safetensors", {"format": "pt"})
    extract_layers(teacher, [0], tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == (tmp_path / "new").read_bytes()


def test_a_teacher_by_its_name_on_the_hub(teacher, tokenizer_folder, monkeypatch):
    asked = []

    def fetched(name, **options):
        asked.append((name, options["allow_patterns"]))
        return str(teacher)

    monkeypatch.setattr("pipeline.hub.snapshot_download", fetched)
    options = {"num_hidden_layers": 2, "max_length": 64, "seed": 1, **SHAPE}
    named, given = (
        bert.build(tokenizer_folder, init_from=start, **options).state_dict()
        for start in ("some/bert", str(teacher))
    )
    assert all(torch.equal(values, given[name]) for name, values in named.items())
    assert [name for name, _ in asked] == ["some/bert"]
    assert "*.bin" not in asked[0][1]


def test_the_first_layers_by_default(teacher, tokenizer_folder):
    student = bert.build(
        tokenizer_folder, num_hidden_layers=2, init_from=str(teacher), max_length=64, **SHAPE
    )
    whole = AutoModelForQuestionAnswering.from_pretrained(teacher, dtype=torch.float32)
    torch.testing.assert_close(
        student.bert.encoder.layer[1].attention.self.query.weight,
        whole.bert.encoder.layer[1].attention.self.query.weight,
    )


def test_an_encoder_without_a_head(tmp_path, tokenizer_folder):
    folder = tmp_path / "encoder"
    BertModel(BertConfig(vocab_size=64, num_hidden_layers=2, **SHAPE)).save_pretrained(folder)
    built = [
        bert.build(tokenizer_folder, num_hidden_layers=1, init_from=str(folder), seed=seed, **SHAPE)
        for seed in (1, 1, 2)
    ]
    heads = [model.qa_outputs.weight for model in built]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert torch.equal(
        built[0].bert.embeddings.word_embeddings.weight, built[2].bert.embeddings.word_embeddings.weight
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 16}, "hidden_size 16 where the teacher has 8"),
        ({"intermediate_size": 8}, "intermediate_size 8 where the teacher has 16"),
        ({"num_attention_heads": 4}, "num_attention_heads 4 where the teacher has 2"),
        ({"layers": [0]}, r"num_hidden_layers 2 for layers \[0\]"),
        ({"layers": [0, 4]}, r"different layers from 0 to 3; got \[0, 4\]"),
        ({"layers": [0, 0]}, r"different layers from 0 to 3; got \[0, 0\]"),
        ({"max_length": 128}, "max_position_embeddings 128 where the teacher has 64"),
        ({"hidden_size": 9}, "hidden_size 9 for 2 heads"),
        ({"num_hidden_layers": 0}, "num_hidden_layers 0"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob 1.5"),
        ({"hidden_act": "gelo"}, "hidden_act 'gelo'; did you mean 'gelu'"),
    ],
)
def test_a_shape_that_does_not_fit(change, message, teacher, tokenizer_folder):
    options = {"num_hidden_layers": 2, "max_length": 64, **SHAPE, **change}
    with pytest.raises(ModelError, match=message):
        bert.build(tokenizer_folder, init_from=str(teacher), **options)


def test_another_tokenizer(teacher, tokenizer_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tokenizer_folder, other)
    text = (other / "tokenizer.json").read_text().replace('"w1"', '"v1"')
    (other / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match="another tokenizer"):
        bert.build(other, num_hidden_layers=2, init_from=str(teacher), max_length=64, **SHAPE)


def test_a_teacher_that_is_no_bert(tmp_path, tokenizer_folder):
    (tmp_path / "config.json").write_text('{"model_type": "roberta", "num_hidden_layers": 2}')
    with pytest.raises(ModelError, match="expected a BERT"):
        bert.build(tokenizer_folder, num_hidden_layers=1, init_from=str(tmp_path), **SHAPE)


def test_a_file_that_is_no_file_of_layers(tmp_path, tokenizer_folder):
    for content in (b"", b"\x10\x00\x00\x00\x00\x00\x00\x00{}", b"\xff" * 64):
        (tmp_path / "initial").write_bytes(content)
        with pytest.raises(ModelError, match="initial weights taken from a teacher's layers"):
            bert.build(tokenizer_folder, num_hidden_layers=1, initial=tmp_path / "initial", **SHAPE)


def test_no_tokenizer(tmp_path):
    with pytest.raises(ModelError, match=r"a fast tokenizer \(tokenizer.json\); got No such file"):
        bert.build(tmp_path, num_hidden_layers=1, **SHAPE)
