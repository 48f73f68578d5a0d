import pytest
import torch

from pipeline.models.masking import OFF_PASSAGE, masked_softmax


@pytest.mark.parametrize("dim", [-1, 1])
def test_softmax_sees_only_what_is_masked_in(dim):
    scores = torch.randn(2, 4, 3)
    mask = torch.tensor([[True, True, False], [True, False, False]])[:, None]
    if dim == 1:
        scores, mask = scores.transpose(1, 2), mask.transpose(1, 2)
    out = masked_softmax(scores, mask, dim=dim).movedim(dim, -1)
    scores = scores.movedim(dim, -1)
    torch.testing.assert_close(out[0, :, :2], scores[0, :, :2].softmax(-1))
    assert (out[1] == torch.tensor([1.0, 0.0, 0.0])).all()


def test_nothing_masked_in_gives_nothing():
    assert (masked_softmax(torch.randn(2, 3), torch.zeros(2, 3, dtype=torch.bool)) == 0).all()


def test_the_logit_of_nowhere_stays_finite():
    nowhere = torch.tensor(OFF_PASSAGE)
    assert (nowhere / 1e-6).isfinite()
    assert (nowhere + nowhere).isfinite()
    assert (nowhere * 0) == 0
    assert nowhere.bfloat16().isfinite()
