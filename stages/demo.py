"""The demo is run from params.yaml, as all else is: whoever has put another run there is told so."""

from pathlib import Path

from pipeline.files import read_yaml

DEMO = Path("recipes/demo.yaml")


def other_run(params: Path, demo: Path = DEMO) -> str | None:
    """What to say where `params` describe another run than the demo; None where it is the demo."""
    what = "the params of the pipeline"
    if not demo.is_file() or read_yaml(params, what=what) == read_yaml(demo, what=what):
        return None
    return f"{params} is not the demo: running what it describes; 'cp {demo} {params}' brings the demo back"
