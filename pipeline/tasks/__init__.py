"""What a task needs: features, gold loss, decoding, scores. `TASKS` is the table; a task is an entry here."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from pipeline.tasks.task import Task

SPAN, TAGGING, SENTENCE = "span", "tagging", "sentence"
CLASSIFICATION, REGRESSION, RELEVANCE = "classification", "regression", "relevance"

_of_rows = partial(Task, head="SequenceClassification", field="class_logits", columns=("class_logits",))

# What answers that people wrote in words of their own are scored by, beside exact match and F1.
FREE_TEXT_SCORES = ("bleu_1", "bleu_4", "rouge_l")

# The architectures that point twice, at a start and at the end given it.
TWO_STEP_READERS = frozenset({"rmr"})
# Those with logits of the passage alone, so none for no answer.
PASSAGE_READERS = frozenset({"qanet", "rmr"})

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        SPAN: Task(
            labels="answers",
            head="QuestionAnswering",
            field="span_logits",
            columns=("start_logits", "end_logits"),
            gold_loss="cross_entropy",
            score_names=("em", "f1", *FREE_TEXT_SCORES),
        ),
        CLASSIFICATION: _of_rows(
            labels="class",
            gold_loss="cross_entropy",
            score_names=("accuracy", "f1", "matthews"),
            problem_type="single_label_classification",
            scores="pipeline.tasks.scores:of_classes",
        ),
        RELEVANCE: _of_rows(
            labels="class",
            gold_loss="cross_entropy",
            score_names=("accuracy", "f1", "matthews", "auc", "map", "mrr"),
            problem_type="single_label_classification",
            scores="pipeline.tasks.scores:of_relevance",
        ),
        REGRESSION: _of_rows(
            labels="number",
            gold_loss="squared_error",
            score_names=("pearson", "spearman"),
            problem_type="regression",
            scores="pipeline.tasks.scores:of_numbers",
        ),
        "multi_label": _of_rows(
            labels="classes",
            gold_loss="binary_cross_entropy",
            score_names=("f1", "macro_f1", "accuracy"),
            problem_type="multi_label_classification",
            scores="pipeline.tasks.scores:of_class_sets",
        ),
        TAGGING: Task(
            labels="tags",
            head="TokenClassification",
            field="token_logits",
            columns=("token_logits",),
            gold_loss="cross_entropy",
            score_names=("f1", "precision", "recall"),
            scores="pipeline.tasks.scores:of_tags",
        ),
        # Text without labels, and encoders without a head: what a student of vectors learns from. Both are
        # scored by how near the vectors of two texts are, against what a set of another task says of them.
        SENTENCE: Task(
            labels="none",
            head="Model",
            field="sentence_vector",
            columns=("sentence_vector",),
            gold_loss=None,
            score_names=("pearson", "spearman", "accuracy", "f1", "auc"),
            scores="pipeline.tasks.scores:of_similarities",
        ),
    }
)
