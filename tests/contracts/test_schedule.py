"""What every schedule in the tables promises."""

import pytest
import torch

from pipeline.schedules import TEMPERATURE_SCHEDULES, WEIGHT_SCHEDULES

LENGTHS = torch.tensor([5, 3, 4, 2])
MASK = torch.arange(5) < LENGTHS[:, None]
COUNTED = torch.tensor([True, True, True, False])


def logits(seed):
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def temperatures(name, student=None, *, teacher=None, counted=COUNTED, temperature=2.0, **options):
    student, teacher = (
        logits(seed) if given is None else given for seed, given in enumerate((student, teacher))
    )
    schedule = TEMPERATURE_SCHEDULES.load(name)
    found = schedule(student, teacher, mask=MASK, counted=counted, temperature=temperature, **options)
    return torch.full((4,), found, dtype=torch.float64) if isinstance(found, float) else found


@pytest.mark.parametrize("name", WEIGHT_SCHEDULES.names())
def test_a_weight_is_multiplied_by_0_to_1(name):
    schedule = WEIGHT_SCHEDULES.load(name)
    factors = [schedule(step / 20) for step in range(21)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert 1 in (factors[0], factors[-1])
    assert factors == [schedule(step / 20) for step in range(21)]


@pytest.mark.parametrize("name", TEMPERATURE_SCHEDULES.names())
class TestTemperature:
    def test_alike_rows_keep_the_base(self, name):
        student, teacher = (logits(seed)[:1].expand(4, -1) for seed in (0, 1))
        mask = torch.ones_like(student, dtype=torch.bool)
        found = TEMPERATURE_SCHEDULES.load(name)(
            student, teacher, mask=mask, counted=COUNTED, temperature=3.0
        )
        torch.testing.assert_close(torch.as_tensor(found).expand(4).double(), torch.full((4,), 3.0).double())

    def test_it_is_above_0_and_finite(self, name):
        options = {} if name == "constant" else {"beta": 1e6}
        found = temperatures(name, logits(0) * 1e4, temperature=0.5, **options)
        assert found.isfinite().all()
        assert (found > 0).all()

    def test_masked_classes_have_no_effect(self, name):
        student, teacher = (logits(seed).masked_fill(~MASK, torch.nan) for seed in (0, 1))
        assert temperatures(name, student, teacher=teacher).equal(temperatures(name))

    def test_rows_that_do_not_count_move_no_other(self, name):
        changed = logits(0)
        changed[3] = 9.0
        assert temperatures(name, changed)[:3].equal(temperatures(name)[:3])

    def test_nothing_to_count_is_finite(self, name):
        assert temperatures(name, counted=torch.zeros(4, dtype=torch.bool)).isfinite().all()

    def test_it_has_no_gradient(self, name):
        assert not temperatures(name, logits(0).requires_grad_()).requires_grad
