import pytest
import torch

from pipeline.models.reading import SpanOutputs


def _spans(lengths, width):
    """Offsets of words of three letters and a space, padded with 0, 0."""
    rows = torch.zeros(len(lengths), width, 2, dtype=torch.int64)
    for row, length in enumerate(lengths):
        starts = torch.arange(length) * 4
        rows[row, :length] = torch.stack([starts, starts + 3], dim=1)
    return rows


@pytest.fixture
def make_reading():
    """A student's outputs and a batch on equal tokens: four rows, the last one filler."""

    def make(seed=0, lengths=(5, 3, 4, 2), questions=(2, 3, 1, 2), dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        batch, passage, question = len(lengths), max(lengths), max(questions)

        def logits():
            return torch.randn(batch, passage, generator=generator, dtype=dtype)

        length = torch.tensor(lengths)
        mask = torch.arange(passage) < length[:, None]
        question_mask = torch.arange(question) < torch.tensor(questions)[:, None]

        def attention():
            scores = torch.randn(batch, passage, question, generator=generator, dtype=dtype)
            probs = scores.masked_fill(~question_mask[:, None, :], -torch.inf).softmax(-1)
            return probs.masked_fill(~mask[:, :, None], 0)

        outputs = SpanOutputs(
            logits().masked_fill(~mask, -1e30).requires_grad_(),
            logits().masked_fill(~mask, -1e30).requires_grad_(),
            mask,
            question_mask,
            attention().requires_grad_(),
        )
        identity = torch.arange(passage).expand(batch, -1).masked_fill(~mask, -1)
        passage_offsets, question_offsets = _spans(lengths, passage), _spans(questions, question)
        targets = {
            "start_logits": logits().masked_fill(~mask, 0),
            "end_logits": logits().masked_fill(~mask, 0),
            "passage_length": length,
            "question_length": torch.tensor(questions),
            "start_map": identity,
            "end_map": identity,
            "confusing": torch.tensor([[3, 4], [-1, -1], [0, 1], [0, 0]]),
            "qa_attention": attention(),
            "passage_offsets": passage_offsets,
            "question_offsets": question_offsets,
        }
        return outputs, {
            "gold": torch.tensor([[1, 2], [0, 0], [-1, -1], [0, 1]]),
            "counted": torch.tensor([True, True, True, False]),
            "passage_offsets": passage_offsets,
            "question_offsets": question_offsets,
            "targets": {"bert": targets},
        }

    return make
