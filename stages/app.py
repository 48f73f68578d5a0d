"""The command `coldbrew`: every stage by name, the whole pipeline, caches, predictions."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from stages import cache
from stages.folders import PARAMS
from stages.lazy import lazy_stage
from stages.running import DebugOption, ParamsOption, command, errors_shown, spread_command
from stages.times import print_times

# Each is imported when it runs: `coldbrew --help` must not wait for torch.
STAGES = {
    "prepare": "Read a data set into examples; rejected rows go to rejects.jsonl with their reasons.",
    "augment": "Make a data set out of another by changing its words; only a teacher need label it.",
    "vocabulary": "Build a tokenizer from the text of data sets, or copy one, with word vectors if asked.",
    "select": "Turn a data set's examples into passages, and say how many answers survive.",
    "finetune_teacher": "Train a teacher, or check and reference a finished checkpoint.",
    "cache_targets": "Let a teacher read a data set once; only what is missing is computed.",
    "merge": "Make target sets of several teachers into one; only what is missing is made.",
    "bind": "Make a student's (or teacher's) inputs: tokens, maps, labels, identities of its caches.",
    "warm_start": "Put the weights of a finished student where another one starts.",
    "train_student": "Train a student from its inputs and the cached targets; a killed run goes on.",
    "evaluate": "Score a student, teacher or ensemble over its evaluation sets; measure its size and speed.",
}

# Those that take --cluster.
SPREAD = ("select", "cache_targets")

app = typer.Typer(
    name="coldbrew",
    help="Knowledge distillation from a cache: a teacher reads a data set once, any number of students "
    "learn from what it said. 'coldbrew demo' shows everything; 'coldbrew repro' runs params.yaml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cache.app, name="cache")
for _name, _summary in STAGES.items():
    _run = lazy_stage(_name, _summary)
    _main = spread_command(_name, _run) if _name in SPREAD else command(_name, _run)
    app.command(_name, rich_help_panel="Stages, in order")(_main)


@app.command("report", rich_help_panel="Stages, in order")
def report(params: ParamsOption = PARAMS, debug: DebugOption = False) -> None:
    """Put every student beside its teacher and its gold-only twin; print the table."""
    from stages import report as stage

    with errors_shown(debug=debug):
        stage.run(params)


@app.command("repro", rich_help_panel="The pipeline")
def repro_command(
    students: Annotated[
        list[str] | None,
        typer.Argument(help="Only these students or ensembles and what they need; all when left out."),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Run what params.yaml asks for and what is not yet done (dvc repro)."""
    from stages.repro import repro

    with errors_shown(debug=debug):
        repro(students or [])


@app.command("demo", rich_help_panel="The pipeline")
def demo(debug: DebugOption = False) -> None:
    """Run params.yaml, the built-in data set unless you changed it, and print the time of each stage."""
    from stages.demo import other_run
    from stages.repro import repro

    with errors_shown(debug=debug):
        if note := other_run(PARAMS):
            print(note, file=sys.stderr)
        repro([])
        print_times()


@app.command("times", rich_help_panel="The pipeline")
def times(debug: DebugOption = False) -> None:
    """Print how long each stage took when it last ran."""
    with errors_shown(debug=debug):
        print_times()


@app.command("import-textbrewer", rich_help_panel="The pipeline")
def import_textbrewer(
    file: Annotated[Path, typer.Argument(help="A DistillationConfig of TextBrewer, as JSON.")],
    alias: Annotated[str, typer.Option("--from", help="What terms call the teacher.")] = "teacher",
    student: Annotated[str, typer.Option(help="The student's output that is taught.")] = "span",
    debug: DebugOption = False,
) -> None:
    """Print the terms of params that say what a configuration of TextBrewer says."""
    from stages.import_textbrewer import imported_lines

    with errors_shown(debug=debug):
        print("\n".join(imported_lines(file, alias=alias, student=student)))


@app.command("predict", rich_help_panel="Using a student")
def predict(
    name: Annotated[str, typer.Argument(help="A student or teacher of this pipeline, or a model folder.")],
    source: Annotated[
        Path,
        typer.Argument(
            help="JSON lines: question and context of spans, else text (and question, the first of a pair); "
            "- reads standard input."
        ),
    ] = Path("-"),
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where answers go; - is standard output.")
    ] = Path("-"),
    head: Annotated[
        list[str] | None,
        typer.Option(help="Of several heads the one that answers; or several about one thing."),
    ] = None,
    pooling: Annotated[
        Literal["first", "mean", "pooler"] | None,
        typer.Option(help="Of an encoder without a head, what its vectors are made of."),
    ] = None,
    null_threshold: Annotated[
        float | None,
        typer.Option(
            help="Of spans: how far the logits of no answer must exceed the best span's for none to be given."
        ),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Answer rows: each line in gives one line out: answer and span, label, number, tags or vector."""
    from stages.predict import predict as answer

    with errors_shown(debug=debug):
        answer(name, source, output, head or [], pooling, null_threshold)


@app.command("compare", rich_help_panel="Using a student")
def compare(
    one: Annotated[str, typer.Argument(help="A student, teacher or ensemble that has been scored.")],
    other: Annotated[str, typer.Argument(help="Another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    debug: DebugOption = False,
) -> None:
    """Say whether two readers differ by more than chance on the sets that both were scored on, row by row."""
    from stages.compare import compare as table

    with errors_shown(debug=debug):
        print(table(one, other, as_json=as_json))


@app.command("size", rich_help_panel="Using a student")
def size(
    name: Annotated[str, typer.Argument(help="A student or teacher of this pipeline, or a model folder.")],
    depth: Annotated[int, typer.Option("--depth", min=0, help="How many levels of modules.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print all levels as JSON, for programs.")] = False,
    params: ParamsOption = PARAMS,
    debug: DebugOption = False,
) -> None:
    """Print the parameters and megabytes of a model, module by module; it need not be trained yet."""
    from stages.size import size as lines

    with errors_shown(debug=debug):
        print("\n".join(lines(name, depth, params, as_json=as_json)))


@app.command("speed", rich_help_panel="Using a student")
def speed(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Students, teachers and ensembles of this pipeline; all when left out."),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each is measured.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    params: ParamsOption = PARAMS,
    debug: DebugOption = False,
) -> None:
    """Measure size, latency and rows a second of finished readers side by side, on their evaluation sets."""
    from stages.speed import speed as table

    with errors_shown(debug=debug):
        print(table(names or (), rounds, params, as_json=as_json))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
