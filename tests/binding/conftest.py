from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from pipeline import fingerprint
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.schema import Answer, Passage, Segment
from pipeline.tables import write_rows
from pipeline.text.tokenizers import Encoder

TEXT = "Red foxes met one brown bear near Oslo in 1923."


def passage(index, question, answers=(), text=TEXT):
    return Passage(
        example=index,
        window=0,
        id=f"q{index}",
        question=question,
        text=text,
        segments=(Segment(0, 0, len(text)),),
        answers=tuple(Answer(answer, text.index(answer)) for answer in answers),
        gold_texts=tuple(answers),
    )


PASSAGES = [
    passage(0, "who met a bear?", ["Red foxes"]),
    passage(1, "where?", ["Oslo"]),
    passage(2, "when did they meet?"),
    passage(0, "who met a bear?", ["Red foxes"]),
]


def _save(folder, splitter):
    """A word-level tokenizer that splits text by `splitter`, in the layout of BERT."""
    tokenizer = Tokenizer(
        models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def words(tmp_path):
    """The student's tokenizer: words and punctuation."""
    return _save(tmp_path / "words", pre_tokenizers.Whitespace())


@pytest.fixture
def pieces(tmp_path):
    """The teacher's tokenizer: runs of up to three characters."""
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split(Regex(r".{1,3}"), "isolated")]
    )
    return _save(tmp_path / "pieces", splitter)


@pytest.fixture
def dataset(tmp_path):
    """A data set of passages with a train and a dev split."""
    folder = tmp_path / "passages" / "foxes"
    write_rows(folder / "train.arrow", Passage, PASSAGES)
    write_rows(folder / "dev.arrow", Passage, PASSAGES[1:2])
    return folder


class FakeCache(TargetCache):
    """What a teacher said about `PASSAGES`, in memory."""

    def __init__(self, encoder, spans):
        identity = {"span_logits": "aa", "top_spans": "bb", "qa_attention": "cc", "tokens": "dd"}
        self.manifest = SimpleNamespace(identity=lambda: identity)
        self.hashes = [fingerprint.input_hash(row.question, row.text) for row in PASSAGES]
        self.encoded = encoder.encode(
            [row.question for row in PASSAGES],
            [row.text for row in PASSAGES],
            max_length=64,
            max_question_tokens=20,
        )
        generator = np.random.default_rng(0)
        self.columns = {
            "passage_offsets": [row.passage_offsets for row in self.encoded],
            "question_offsets": [row.question_offsets for row in self.encoded],
            "start_logits": [self._logits(generator, row) for row in self.encoded],
            "end_logits": [self._logits(generator, row) for row in self.encoded],
            "top_starts": [np.array([self.token(row, start) for start, _ in spans]) for row in self.encoded],
            "top_ends": [np.array([self.token(row, end - 1) for _, end in spans]) for row in self.encoded],
        }

    @staticmethod
    def _logits(generator, row):
        return generator.normal(size=len(row.passage_offsets)).astype(np.float16)

    @staticmethod
    def token(row, character):
        return int(np.searchsorted(row.passage_offsets[:, 1], character, side="right"))

    def positions(self, hashes, occurrences):
        keys = list(zip(self.hashes, fingerprint.occurrences(self.hashes), strict=True))
        return np.array([keys.index(key) for key in zip(hashes, occurrences, strict=True)])

    def batch(self, positions, columns):
        found = {name: pad([self.columns[name][position] for position in positions]) for name in columns}
        for length, name in (("passage_length", "passage_offsets"), ("span_length", "top_starts")):
            found[length] = np.array([len(self.columns[name][position]) for position in positions], np.int32)
        return found


def pad(rows):
    longest = max(len(row) for row in rows)
    return np.stack([np.pad(row, [(0, longest - len(row))] + [(0, 0)] * (row.ndim - 1)) for row in rows])


@pytest.fixture
def cache(monkeypatch, pieces):
    """The fake cache, found under any path."""
    spans = [(TEXT.index(words), TEXT.index(words) + len(words)) for words in ("foxes", "one brown", "Oslo")]
    fake = FakeCache(Encoder.open(pieces), spans)
    monkeypatch.setattr("pipeline.binding.targets.TargetCache.open", lambda folder: fake)
    return fake


@pytest.fixture
def row_of():
    """A row of a column as a list."""

    def get(column: Ragged, index):
        return column.row(index).tolist()

    return get
