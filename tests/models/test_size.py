import pytest
import torch
from torch import nn

from pipeline.models.size import num_parameters, size_mb, size_tree, tree_lines


def test_shared_storage_counts_once():
    model = nn.ModuleDict({"table": nn.Embedding(10, 4), "head": nn.Linear(4, 10)})
    assert num_parameters(model) == 40 + 50
    model["head"].weight = model["table"].weight
    assert num_parameters(model) == 50


def test_bytes_follow_the_number_type():
    assert size_mb(nn.Linear(1000, 999)) == pytest.approx(4.0 * 0.999999, rel=1e-3)
    assert size_mb(nn.Linear(1000, 999).to(torch.bfloat16)) == pytest.approx(2.0, rel=1e-2)


class _Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 10))
        self.body[2].weight = self.table.weight
        self.scale = nn.Parameter(torch.ones(3))


def test_the_tree_adds_up():
    tree = size_tree(_Tied(), "tied")
    assert (tree.parameters, tree.bytes, tree.shared) == (40 + 20 + 10 + 3, 4 * 73, 40)
    table, body = tree.children
    assert (table.parameters, table.shared) == (40, 0)
    assert [(part.kind, part.parameters, part.shared) for part in body.children] == [
        ("Linear", 20, 0),
        ("ReLU", 0, 0),
        ("Linear", 10, 40),
    ]
    assert body.parameters == 30


def test_a_module_used_twice_counts_once():
    layer = nn.Linear(4, 4)
    tree = size_tree(nn.Sequential(layer, layer))
    assert (tree.parameters, tree.shared) == (20, 20)


def test_weights_that_lie_in_one_storage_are_not_shared():
    whole = torch.zeros(30)
    model = nn.ParameterList([nn.Parameter(whole[:10]), nn.Parameter(whole[10:])])
    assert num_parameters(model) == 30


def test_lines_of_the_tree():
    tree = size_tree(_Tied(), "tied")
    assert tree_lines(tree, 2) == [
        "tied (_Tied)           73       0.000 MB  (+40 shared)",
        "├── table (Embedding)  40       0.000 MB",
        "└── body (Sequential)  30       0.000 MB  (+40 shared)",
        "    ├── 0 (Linear)     20       0.000 MB",
        "    └── 2 (Linear)     10       0.000 MB  (+40 shared)",
    ]
    assert len(tree_lines(tree, 0)) == 1
