"""Stage train_student: a student learns from its inputs and the cached targets; no teacher is loaded."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.binding.bind import TRAIN
from pipeline.binding.inputs import INITIAL_WEIGHTS, Inputs
from pipeline.errors import MismatchError
from pipeline.evaluation.development import Development
from pipeline.extensions import code_of
from pipeline.training.phase import Phase
from pipeline.training.train import train
from stages.folders import INPUTS, STUDENTS, TARGETS, TOKENIZERS, WORK
from stages.params import load
from stages.running import entry, start
from stages.sections import Phase as PhaseEntry
from stages.warm_start import START, WEIGHTS


def run(name: str, params: Path) -> None:
    """Train a student from its inputs and the cached targets; a killed run goes on where it was."""
    settings = load(params, models=True)
    student = entry(settings.students, name, "students")
    options = {key: value for key, value in student.model.items() if key not in ("architecture", "heads")}
    inputs, tokenizer = INPUTS / name / TRAIN, TOKENIZERS / student.tokenizer
    _check_code(inputs, code_of(student.trained_by))
    if options.get("init_from") is not None:
        options["initial"] = inputs / INITIAL_WEIGHTS
    summary = train(
        STUDENTS / name,
        name=name,
        inputs=inputs,
        tokenizer=tokenizer,
        architecture=str(student.model["architecture"]),
        options=options,
        phases=[_phase(phase, inputs, tokenizer) for phase in student.phases],
        seed=int(student.phases[0].training.get("seed", 0)),
        work=WORK / "students" / name,
        targets={target: TARGETS / target for target in student.sets},
        logs=WORK / "logs" / name,
        start=INPUTS / name / START / WEIGHTS if name in settings.warm_starts else None,
    )
    print(f"{name}: {summary['parameters']:,} parameters, last: {summary['phases'][-1]['last']}")


def _phase(phase: PhaseEntry, inputs: Path, tokenizer: Path) -> Phase:
    watched = phase.training.get("eval_set")
    scorer = Development.open(inputs, watched, tokenizer) if watched else None
    return Phase(phase.terms, phase.training, phase.name, phase.tau, scorer)


def _check_code(inputs: Path, code: Mapping[str, str]) -> None:
    """What `bind` has noted is what DVC compares: a student of other code would pass for this one."""
    bound = Inputs.open(inputs).code
    changed = sorted(module for module in bound.keys() | code.keys() if bound.get(module) != code.get(module))
    if changed:
        raise MismatchError(
            inputs,
            expected="inputs bound to the code that params name, as it is now",
            got=f"other contents of {', '.join(changed)}",
            remedy="bind the student again; DVC does so by itself for code in extensions/",
        )


if __name__ == "__main__":
    start("train_student", run)
