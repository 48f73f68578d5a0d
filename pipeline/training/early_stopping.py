"""Transformers' early stopping, for a trainer that keeps the best weights itself."""

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments


class EarlyStopping(EarlyStoppingCallback):
    """Stops when the score has not risen for so many evaluations; how many it were is kept in checkpoints."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say nothing: its parent warns that no checkpoint of transformers will be loaded at the end."""
