"""Scores of what teachers said, read from their caches: of one, or of several as an ensemble."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import fingerprint
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.errors import MismatchError
from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.fold import fold
from pipeline.evaluation.free_text import free_text_scores
from pipeline.evaluation.joint import NULL, best_spans, mean, span_tables
from pipeline.evaluation.reader import Span
from pipeline.evaluation.variants import worst_variants
from pipeline.schema import Passage
from pipeline.tables import read_rows

_CHUNK = 64
_SPANS, _OWN_ENDS, _GOLD_ENDS = "span_logits", "top_end_rows", "end_rows"


def score_cached(
    folders: Sequence[Path],
    passages: Path,
    split: str,
    *,
    language: str,
    free_text: bool = False,
    variants: bool = False,
    null_score_diff_threshold: float = 0.0,
    **options: Any,
) -> dict[str, Any]:
    """Official scores of the spans that teachers are surest of, no teacher being at hand.

    Args:
        folders: Caches of teachers with equal tokens.
        passages: The folder of passages that they have read.
        split: Which of its splits.
        language: Of the metric.
        free_text: Whether gold answers are free text, which has scores of its own.
        variants: Whether questions stand in variants, scored by the worst of each too.
        null_score_diff_threshold: As of `score_answers`, where every cache holds what its teacher says of
            there being no answer; of several teachers their mean logits count.
        options: As of `cached_spans`, whose errors are those of this function too.

    Returns:
        As of `score_answers`, and of `free_text_scores` and `worst_variants` where these are asked for.
    """
    rows = read_rows(passages / f"{split}.arrow", Passage)
    with_null = any(row.is_impossible for row in rows)
    answered = fold(rows, cached_spans(folders, rows, **options), with_null=with_null)
    answers, scores = score_answers(answered, language, null_threshold=null_score_diff_threshold)
    scores |= free_text_scores(answers, language) if free_text else {}
    return scores | (worst_variants(answers) if variants else {})


def cached_spans(
    folders: Sequence[Path],
    rows: Sequence[Passage],
    *,
    max_answer_tokens: int,
    two_step: bool = False,
    weights: Sequence[float] | None = None,
) -> list[Span | None]:
    """The best span of each row; None for one without a passage.

    A teacher's probability of a span is p1(start) p2(end), or p1(start) p2(end | start) for those of its own
    starts that are cached. Several are averaged (Hu et al. 2018, sec. 3.4). Ends given the gold start are no
    part of it: they know the answer.

    Args:
        folders: Caches of teachers with equal tokens.
        rows: Passages that they have read.
        max_answer_tokens: The longest answer.
        two_step: Whether some teacher points twice, so that `span_logits` alone is not all it says of ends.
        weights: Of each cache; all alike if None.

    Raises:
        CacheError: A cache cannot be trusted, or lacks rows.
        MismatchError: A cache lacks the fields that scores are made of, or teachers do not share tokens.
    """
    hashes = [fingerprint.input_hash(row.question, row.text) for row in rows]
    occurrences = fingerprint.occurrences(hashes)
    caches = [_open(folder, two_step=two_step) for folder in folders]
    places = [cache.positions(hashes, occurrences) for cache in caches]
    shares = np.array(weights or [1.0] * len(caches), np.float64)
    spans: list[Span | None] = []
    for start in range(0, len(rows), _CHUNK):
        batches = [
            cache.batch(positions[start : start + _CHUNK], _columns(cache))
            for cache, positions in zip(caches, places, strict=True)
        ]
        _check_same_tokens(caches, batches)
        said = [span_tables(batch, max_answer_tokens) for batch in batches]
        lengths, offsets = batches[0]["passage_length"], batches[0]["passage_offsets"]
        tables = mean(said, list(shares / shares.sum())).swapaxes(0, 1)
        spans += best_spans(
            list(tables), [row[:length] for row, length in zip(offsets, lengths, strict=True)]
        )
    return spans


def _open(folder: Path, *, two_step: bool) -> TargetCache:
    identity = load_manifest(folder).identity
    wanted = [_SPANS, *([NULL] if NULL in identity else [])]
    wanted += [_OWN_ENDS] if two_step or identity.keys() & {_OWN_ENDS, _GOLD_ENDS} else []
    absent = [name for name in wanted if name not in identity]
    if absent:
        got = "no such field"
        if absent == [_OWN_ENDS] and _GOLD_ENDS in identity:
            got = f"{_GOLD_ENDS} alone, which are given the gold start: a score of them would know the answer"
        raise MismatchError(
            folder,
            expected=f"{', '.join(absent)}, which scores are made of",
            got=got,
            remedy=f"add '{absent[0]}: {{}}' to the target set's fields and run cache_targets",
        )
    return TargetCache.open(folder, expected={name: identity[name] for name in wanted})


def _columns(cache: TargetCache) -> list[str]:
    columns = ["passage_offsets", "start_logits", "end_logits", "best_starts", "best_end_logits", NULL]
    return [name for name in columns if name in cache.columns]


def _check_same_tokens(caches: Sequence[TargetCache], batches: Sequence[Mapping[str, np.ndarray]]) -> None:
    for cache, batch in zip(caches[1:], batches[1:], strict=True):
        if not np.array_equal(batch["passage_offsets"], batches[0]["passage_offsets"]):
            raise MismatchError(
                cache.path,
                expected=f"the tokens of {caches[0].path}, with whose probabilities these are averaged",
                got="others",
                remedy="score them one by one, or cache teachers of one tokenizer and one limit",
            )
