"""What a batch holds of a teacher's layers, on the student's tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.losses.precision import full_precision, widen
from pipeline.models.triangle import unpack_triangle
from pipeline.objectives.matches import Held

SPANS = "token_spans"


@dataclass(frozen=True)
class TeacherLayers:
    """The quantities that matches compare, from whichever field they are cached as.

    Where the student has other tokens, its state is compared with the mean over the teacher's tokens that it
    overlaps: A Z, with rows of A averaging. The Gram matrix of these states is A G A^T, so that it follows
    from the cached one.

    Args:
        targets: The columns of the batch.
        layers: The layer or the pair that is compared.
        fields: The fields that it is made from, with their options.
    """

    targets: Mapping[str, Tensor]
    layers: tuple[int, ...]
    fields: Held

    def hidden(self) -> Float[Tensor, "batch length width"]:
        """Hidden states of the first layer."""
        return self._averaged(self._hidden(0))

    def unit(self) -> Float[Tensor, "batch length width"]:
        """Hidden states of the first layer over their norm."""
        cached = self.targets.get(f"unit_vectors_{self.layers[0]}")
        return normalize(self.hidden(), dim=-1) if cached is None else widen(cached)

    def first_token(self) -> Float[Tensor, "batch width"]:
        """The first token's state over its norm."""
        cached = self.targets.get(f"first_token_{self.layers[0]}")
        if cached is None:
            states = self.targets.get(f"unit_vectors_{self.layers[0]}")
            cached = (self._hidden(0) if states is None else states)[:, 0]
        return normalize(widen(cached), dim=-1)

    def gram(self) -> Float[Tensor, "batch length length"]:
        """X Y^T / width."""
        first, other = self.layers
        cached = self.targets.get(f"gram_{first}_{other}")
        if cached is None:
            states = self._hidden(0), self._hidden(1)
            with full_precision(states[0]):
                return self._both_averaged(states[0] @ states[1].transpose(1, 2) / states[0].shape[2])
        return self._both_averaged(unpack_triangle(widen(cached)) if first == other else widen(cached))

    def fsp(self) -> Float[Tensor, "batch width width"]:
        """X^T Y / tokens, over the teacher's own tokens."""
        name = f"fsp_{self.layers[0]}_{self.layers[1]}"
        if name in self.targets:
            cached = widen(self.targets[name])
            return unpack_triangle(cached) if self.layers[0] == self.layers[1] else cached
        if f"{name}_x" in self.targets:
            first = widen(self.targets[f"{name}_x"])
            other = widen(self.targets.get(f"{name}_y", first))
        else:
            first, other = self._hidden(0), self._hidden(1)
        length = self.targets["token_length"]
        exists = torch.arange(first.shape[1], device=first.device) < length[:, None]
        with full_precision(first):
            return (first * exists.unsqueeze(-1)).transpose(1, 2) @ other / length.clamp(min=1)[:, None, None]

    def sentence(self) -> Float[Tensor, "batch width"]:
        """The sentence vector."""
        return widen(self.targets["sentence_vector"])

    def scores(self) -> Float[Tensor, "batch heads length length"]:
        """Attention scores of every head."""
        cached = self.targets.get(f"attention_scores_{self.layers[0]}")
        if cached is not None:
            return widen(cached)
        query, key, num_heads = self._projections()
        return attention_scores(query, key, num_heads)

    def score_sum(self) -> Float[Tensor, "batch length length"]:
        """Attention scores summed over heads."""
        name = f"attention_scores_{self.layers[0]}"
        cached = self.targets.get(name)
        if cached is None:
            query, key, num_heads = self._projections()
            # Heads stand side by side, so the product over all of the width is the sum over heads.
            with full_precision(query):
                total: Tensor = query @ key.transpose(1, 2) * (query.shape[2] // num_heads) ** -0.5
            return total
        stored = self.fields[name].get("heads", "each")
        if stored == "each":
            return widen(cached).sum(dim=1)
        return widen(cached) * (int(self.fields[name]["num_heads"]) if stored == "mean" else 1)

    def score_mean(self) -> Float[Tensor, "batch length length"]:
        """Attention scores averaged over heads."""
        (field,) = self.fields
        return self.score_sum() / int(self.fields[field]["num_heads"])

    def known(self) -> Bool[Tensor, "batch length"] | None:
        """The student's tokens that overlap one of the teacher's; None where tokens are the same."""
        spans = self.targets.get(SPANS)
        return None if spans is None else spans[:, :, 1] > spans[:, :, 0]

    def _hidden(self, place: int) -> Float[Tensor, "batch teacher width"]:
        return widen(self.targets[f"hidden_states_{self.layers[place]}"])

    def _projections(self) -> tuple[Tensor, Tensor, int]:
        layer = self.layers[0]
        query, key = (widen(self.targets[f"attention_{part}_{layer}"]) for part in ("query", "key"))
        return query, key, int(self.fields[f"attention_qk_{layer}"]["num_heads"])

    def _averaged(self, states: Float[Tensor, "batch teacher width"]) -> Float[Tensor, "batch length width"]:
        if SPANS not in self.targets:
            return states
        with full_precision(states):
            return averaging(self.targets[SPANS], states) @ states

    def _both_averaged(
        self, gram: Float[Tensor, "batch teacher teacher"]
    ) -> Float[Tensor, "batch length length"]:
        if SPANS not in self.targets:
            return gram
        weights = averaging(self.targets[SPANS], gram)
        with full_precision(gram):
            return weights @ gram @ weights.transpose(1, 2)


def averaging(
    spans: Int[Tensor, "batch length 2"], states: Float[Tensor, "batch teacher features"]
) -> Float[Tensor, "batch length teacher"]:
    """For every student token, equal weights of the teacher's tokens that it overlaps; zeros where none."""
    at = torch.arange(states.shape[1], device=states.device)
    inside = (at >= spans[:, :, :1]) & (at < spans[:, :, 1:])
    return inside.to(states.dtype) / inside.sum(dim=2, keepdim=True).clamp(min=1)


def attention_scores(
    query: Float[Tensor, "batch length width"], key: Float[Tensor, "batch length width"], num_heads: int
) -> Float[Tensor, "batch heads length length"]:
    """Scores before the softmax, query . key / sqrt(head width), of heads that stand side by side."""
    batch, length, width = query.shape
    asking, asked = (
        widen(values).view(batch, length, num_heads, width // num_heads).transpose(1, 2)
        for values in (query, key)
    )
    with full_precision(query):
        scores: Tensor = asking @ asked.transpose(2, 3) * (width // num_heads) ** -0.5
    return scores
