"""A student, teacher or ensemble of params, opened with the sets that it is scored on."""

from typing import Any

from pipeline.evaluation.evaluate import Evaluation, Folders
from stages.folders import INPUTS
from stages.model_folders import model_folder
from stages.sections import Params


def folders_of(settings: Params, name: str) -> Folders:
    """Where a student's or teacher's model and evaluation inputs lie.

    Raises:
        PipelineError: As of `model_folder`.
    """
    return Folders(model_folder(settings, name)[1], INPUTS / name / "evaluate")


def members_of(settings: Params, name: str) -> dict[str, Folders]:
    """Those of an ensemble's members."""
    return {member: folders_of(settings, member) for member in settings.ensembles[name].mean_probabilities}


def opened(settings: Params, name: str) -> Evaluation:
    """A student, teacher or ensemble.

    Raises:
        PipelineError: There is none of this name, or it, or its inputs, are not there yet.
    """
    limits: dict[str, Any] = settings.evaluation.model_dump(
        include={"max_answer_tokens", "null_score_diff_threshold"}
    )
    ensemble = settings.ensembles.get(name)
    if ensemble is None:
        folders = folders_of(settings, name)
        return Evaluation.open(folders.model, folders.inputs, **limits)
    weights = ensemble.weights or [1.0] * len(ensemble.mean_probabilities)
    return Evaluation.of_ensemble(members_of(settings, name), ensemble.evaluate, weights, **limits)
