import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.positions import Positions

ranges = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    min_size=1,
    max_size=5,
)


@given(ranges)
def test_taken_is_what_slices_give(pairs):
    positions = Positions.of(torch.tensor(pairs), torch.device("cpu"))
    flat = torch.arange(len(pairs) * 20, dtype=torch.float32).view(len(pairs), 20)
    deep = torch.stack([flat, -flat], 2)
    for row, (start, end) in enumerate(pairs):
        kept = positions.mask[row]
        assert torch.equal(positions.take(flat)[row][kept], flat[row, start:end])
        assert torch.equal(positions.take(deep)[row][kept], deep[row, start:end])
        assert kept[: end - start].all()
    assert positions.mask.shape[1] == max(1, *(end - start for start, end in pairs))
