import pytest
import torch
from transformers import AutoConfig

from pipeline.errors import ParamsError
from pipeline.models import ARCHITECTURES, build
from pipeline.models.qanet import QANetConfig

BERT = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}


def test_an_unknown_architecture(tokenizer_folder):
    with pytest.raises(ParamsError, match="did you mean 'qanet'"):
        build("qnet", tokenizer_folder, {}, seed=0)


def test_a_models_own_seed_goes_first(tokenizer_folder):
    own = build("bert", tokenizer_folder, {**BERT, "seed": 3}, seed=0)
    given = build("bert", tokenizer_folder, BERT, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), given.parameters(), strict=True))


def test_options_are_checked_by_name():
    problems = ARCHITECTURES.option_problems("qanet", {"num_block": 3})
    assert len(problems) == 1
    assert "did you mean 'num_block" in problems[0]
    assert any("hidden_size" in problem for problem in ARCHITECTURES.option_problems("bert", {}))


def test_configurations_are_registered():
    config = AutoConfig.for_model("qanet", d_model=32)
    assert isinstance(config, QANetConfig)
    assert config.d_model == 32
