"""Several caches made into one of its own, once: the means of what their teachers say.

The caches' teachers must share their tokens. A mean of probabilities is stored as logits whose softmax is the
mean, so a student that softens them sees another distribution than from a mix that it reads member by member:
softening and averaging do not commute.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from pipeline import fingerprint
from pipeline.cache.columns import FIXED_EXTENTS
from pipeline.cache.fields import TOKENS, spec_of
from pipeline.cache.manifest import load_manifest
from pipeline.cache.mix import MEAN_LOGITS, MERGED_FIELDS, Mix
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError, MismatchError

# Raised by hand when the code here gives other numbers.
NUMERICS: Final = 1

_CHUNK = 128
_REMEDY = "average the sets where they are read: write {mean_probabilities: [...]} among a source's targets"


class Members:
    """Caches that are merged: what `fill` takes for the teacher, with the rows and settings to plan with.

    Args:
        folders: Their folders; at least one.
        mix: How they are averaged.
        splits: The splits wanted, which all hold.
        fields: The fields wanted, with the options that are the merged cache's own.
        backend: The kind of its shard files.

    Attributes:
        rows: The rows of the merged cache: those of the first member that lie in the splits.
        settings: What it is made with. Keys cover what each member's field was made with, so that another
            teacher gives another key, and rows or fields added to a member touch no shard that is there.
        facts: Names and identities of the members, for the provenance.

    Raises:
        CacheError: A member cannot be trusted, or lacks splits, fields or rows.
        MismatchError: Members do not share their tokens.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        mix: Mix,
        *,
        splits: Sequence[str],
        fields: Mapping[str, Mapping[str, Any]],
        backend: str = "arrow",
    ) -> None:
        self._mix = mix
        self._caches = [_open(folder, fields, splits) for folder in folders]
        for cache in self._caches[1:]:
            if cache.manifest.tokenizer != self._caches[0].manifest.tokenizer:
                raise _other_tokens(self._caches[0], cache, f"tokenizer {cache.manifest.tokenizer[:8]}..")
        first = self._caches[0].manifest
        manifests = [cache.manifest for cache in self._caches]
        described = {
            "numerics": NUMERICS,
            "mean": mix.mean,
            "weights": list(mix.weights),
            "teachers": [manifest.teacher for manifest in manifests],
        }
        self.rows = _rows(self._caches[0].rows, splits)
        hashes = self.rows.input_hash
        # Equal inputs have equal targets, so the first of them will do.
        self._positions = [cache.positions(hashes, np.zeros(len(hashes), np.int32)) for cache in self._caches]
        self.settings = CacheSettings(
            teacher={"merged": fingerprint.settings(described)},
            tokenizer=first.tokenizer,
            numbers={"merged": described},
            fields={name: first.fields[name].options | dict(given) for name, given in fields.items()},
            backend=backend,
            merged_from={
                name: [manifest.fields[name].covers for manifest in manifests] for name in (TOKENS, *fields)
            },
        )
        self.facts = {
            "members": [
                {
                    "set": folder.name,
                    "identity": {name: manifest.identity[name] for name in (TOKENS, *fields)},
                }
                for folder, manifest in zip(folders, manifests, strict=True)
            ]
        }

    def __call__(self, rows: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        """The columns of `fields` for these rows, floating ones in float32."""
        parts = [self._read(rows[start : start + _CHUNK], fields) for start in range(0, len(rows), _CHUNK)]
        return {name: Ragged.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _read(self, rows: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        columns = [column.name for field in sorted(fields) for column in spec_of(field).columns]
        wanted = [*dict.fromkeys([*columns, *_column_names(TOKENS)])]
        batches = [
            cache.batch(positions[rows], wanted)
            for cache, positions in zip(self._caches, self._positions, strict=True)
        ]
        self._check_tokens(batches)
        merged = dict(batches[0])
        if "span_logits" in fields:
            for name in _column_names("span_logits"):
                merged[name] = self._mean_logits([batch[name] for batch in batches], batches[0])
        if "qa_attention" in fields:
            merged["qa_attention"] = _weighted(
                [batch["qa_attention"] for batch in batches], self._mix.weights
            )
        if "top_spans" in fields:
            merged |= _best_spans(batches, self.settings.options("top_spans")["k"])
        return {
            column.name: _cut(merged, column.name, column.axes)
            for field in fields
            for column in spec_of(field).columns
        }

    def _mean_logits(
        self, logits: Sequence[np.ndarray], batch: Mapping[str, np.ndarray]
    ) -> Float64[np.ndarray, "rows passage"]:
        if self._mix.mean == MEAN_LOGITS:
            return _weighted(logits, self._mix.weights)
        exists = np.arange(logits[0].shape[1]) < batch["passage_length"][:, None]
        log_probs = np.stack([_log_softmax(of_one, exists) for of_one in logits])
        weights = np.log(self._mix.weights)[:, None, None]
        return np.asarray(np.logaddexp.reduce(log_probs + weights, axis=0))

    def _check_tokens(self, batches: Sequence[Mapping[str, np.ndarray]]) -> None:
        names = [*_column_names(TOKENS), "passage_length", "question_length"]
        for cache, batch in zip(self._caches[1:], batches[1:], strict=True):
            if not all(np.array_equal(batches[0][name], batch[name]) for name in names):
                raise _other_tokens(self._caches[0], cache, "rows cut elsewhere, by another limit")


def _open(folder: Path, fields: Collection[str], splits: Sequence[str]) -> TargetCache:
    held = load_manifest(folder)
    absent = [name for name in fields if name not in held.fields or name not in MERGED_FIELDS]
    absent += [split for split in splits if split not in held.rows.splits]
    if absent:
        raise CacheError(
            folder,
            expected=f"fields {', '.join(fields)} that can be merged, and splits {', '.join(splits)}",
            got=f"no {', '.join(absent)}",
            remedy=f"add what is missing to its target set; {', '.join(MERGED_FIELDS)} can be merged",
        )
    return TargetCache.open(folder, expected={name: held.identity[name] for name in fields})


def _other_tokens(first: TargetCache, other: TargetCache, got: str) -> MismatchError:
    return MismatchError(
        other.path,
        expected=f"the tokens of {first.path} (tokenizer {first.manifest.tokenizer[:8]}..)",
        got=got,
        remedy=_REMEDY,
    )


def _rows(rows: RowTable, splits: Sequence[str]) -> RowTable:
    """The rows of some splits, split after split, as a table of their own."""
    places = np.concatenate([np.flatnonzero(rows.split == rows.splits.index(split)) for split in splits])
    return RowTable.build(
        input_hashes=[row.tobytes() for row in rows.input_hash[places]],
        gold_hashes=[row.tobytes() for row in rows.gold_hash[places]],
        lengths=rows.length[places].tolist(),
        question_lengths=rows.question_length[places].tolist(),
        splits=[rows.splits[code] for code in rows.split[places].tolist()],
    )


def _column_names(field: str) -> list[str]:
    return [column.name for column in spec_of(field).columns]


def _weighted(values: Sequence[np.ndarray], weights: Sequence[float]) -> Float64[np.ndarray, "*shape"]:
    mean = np.zeros(values[0].shape)
    for of_one, weight in zip(values, weights, strict=True):
        mean += weight * of_one.astype(np.float64)
    return mean


def _log_softmax(logits: np.ndarray, exists: np.ndarray) -> Float64[np.ndarray, "rows passage"]:
    wide = np.where(exists, logits.astype(np.float64), -np.inf)
    # A row without tokens has a peak all the same.
    peaks = wide.max(axis=1, initial=np.finfo(np.float64).min, keepdims=True)
    total = np.exp(wide - peaks).sum(axis=1, keepdims=True)
    return np.where(exists, logits - peaks - np.log(np.maximum(total, np.finfo(np.float64).tiny)), 0.0)


def _best_spans(batches: Sequence[Mapping[str, np.ndarray]], k: int) -> dict[str, np.ndarray]:
    """The k spans of which some teacher is surest, best first; a span that several name counts once.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.4: of the candidates of all models,
    the one with the highest confidence.
    """
    rows = len(batches[0]["span_length"])
    starts, ends, lengths = (
        np.zeros((rows, k), np.int32),
        np.zeros((rows, k), np.int32),
        np.zeros(rows, np.int32),
    )
    log_probs = np.zeros((rows, k), np.float32)
    for row in range(rows):
        surest: dict[tuple[int, int], float] = {}
        for batch in batches:
            said = slice(batch["span_length"][row])
            spans = zip(
                batch["top_starts"][row][said].tolist(), batch["top_ends"][row][said].tolist(), strict=True
            )
            for span, log_prob in zip(spans, batch["top_log_probs"][row][said].tolist(), strict=True):
                surest[span] = max(log_prob, surest.get(span, log_prob))
        best = sorted(surest.items(), key=lambda item: -item[1])[:k]
        lengths[row] = len(best)
        for place, ((start, end), log_prob) in enumerate(best):
            starts[row, place], ends[row, place], log_probs[row, place] = start, end, log_prob
    return {"top_starts": starts, "top_ends": ends, "top_log_probs": log_probs, "span_length": lengths}


def _cut(batch: Mapping[str, np.ndarray], name: str, axes: Sequence[str]) -> Ragged:
    """The rows of a padded column, each cut to its own extents."""
    values = batch[name]
    values = values.astype(np.float32) if values.dtype.kind == "f" else values
    extents = [batch.get(f"{axis}_length") for axis in axes]
    rows = []
    for row in range(len(values)):
        ends = (
            slice(FIXED_EXTENTS[axis] if extent is None else int(extent[row]))
            for axis, extent in zip(axes, extents, strict=True)
        )
        rows.append(values[row][tuple(ends)].ravel())
    return Ragged.from_rows(rows, values.dtype)
