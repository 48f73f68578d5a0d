import pytest
import torch
from torch import nn

from pipeline.models.size import num_parameters, size_mb


def test_shared_storage_counts_once():
    model = nn.ModuleDict({"table": nn.Embedding(10, 4), "head": nn.Linear(4, 10)})
    assert num_parameters(model) == 40 + 50
    model["head"].weight = model["table"].weight
    assert num_parameters(model) == 50


def test_bytes_follow_the_number_type():
    assert size_mb(nn.Linear(1000, 999)) == pytest.approx(4.0 * 0.999999, rel=1e-3)
    assert size_mb(nn.Linear(1000, 999).to(torch.bfloat16)) == pytest.approx(2.0, rel=1e-2)
