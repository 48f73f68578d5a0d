"""What a selection kept: rows cut, and the gold answers that are still there."""

from collections.abc import Sequence
from typing import Any

from pipeline.schema import Passage
from pipeline.selection.selected import Selected


def coverage(selections: Sequence[Selected], passages: Sequence[Sequence[Passage]]) -> dict[str, Any]:
    """Counts over the rows of one split.

    An answer counts as kept where at least one gold answer of its row lies in at least one of the row's
    passages. "all" are the labelled rows with an answer, "cut" those of them whose context was too long.
    """
    labelled = [bool(windows[0].gold_texts) and not windows[0].is_impossible for windows in passages]
    kept = [any(passage.answers for passage in windows) for windows in passages]
    rows = range(len(selections))
    return {
        "rows": len(selections),
        "passages": sum(len(windows) for windows in passages),
        "contexts_cut": sum(selected.is_cut for selected in selections),
        "contexts_truncated": sum(selected.is_truncated for selected in selections),
        "contexts_empty": sum(not any(passage.text for passage in windows) for windows in passages),
        "questions_cut": sum(selected.question_is_cut for selected in selections),
        "answers": {
            "all": _share([kept[row] for row in rows if labelled[row]]),
            "cut": _share([kept[row] for row in rows if labelled[row] and selections[row].is_cut]),
        },
    }


def _share(kept: Sequence[bool]) -> dict[str, Any]:
    return {"rows": len(kept), "kept": sum(kept), "share": round(sum(kept) / len(kept), 6) if kept else None}
