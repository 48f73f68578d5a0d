from pathlib import Path

import pytest

from pipeline.text.build import build_tokenizer
from pipeline.text.tokenizers import Encoder


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words, each known or not a token of its own; one special token around a pair."""
    folder = tmp_path_factory.mktemp("words")
    build_tokenizer(["Who is it? It is."], folder, kind="words")
    return folder


@pytest.fixture(scope="session")
def encoder(tokenizer: Path) -> Encoder:
    return Encoder.open(tokenizer)
