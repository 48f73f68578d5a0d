"""What can go wrong, as one small tree.

    PipelineError
    ├── ParamsError      a setting that cannot be obeyed
    ├── DataError        a data file or row that cannot be read as promised
    ├── ModelError       a model or tokenizer folder that does not fit
    ├── DiskError        a disk that is full, forbids what is asked, or fails
    └── CacheError       a target cache that must not be trusted as it is
        ├── DamagedError     bytes differ from what was written
        ├── MismatchError    made by, or for, something else
        └── LockedError      another run is writing it

Every message says where, what was expected, what came, and what to do.
"""

from functools import partial


class PipelineError(Exception):
    """An error that a user can act on.

    Args:
        where: The file, folder or params path that the error is about.
        expected: What should have been there.
        got: What was there.
        remedy: What the user can do now.
    """

    def __init__(self, where: object, *, expected: str, got: str, remedy: str) -> None:
        self.where, self.expected, self.got, self.remedy = str(where), expected, got, remedy
        super().__init__(f"{where}: expected {expected}; got {got}; {remedy}")

    def __reduce__(self) -> tuple[partial["PipelineError"], tuple[str]]:
        # Python would rebuild it from its message alone: an error of another process must arrive whole.
        parts = {"expected": self.expected, "got": self.got, "remedy": self.remedy}
        return partial(type(self), **parts), (self.where,)


class ParamsError(PipelineError):
    """A setting that cannot be obeyed."""


class DataError(PipelineError):
    """A data file or row that cannot be read as promised."""


class ModelError(PipelineError):
    """A model or tokenizer folder that does not fit."""


class DiskError(PipelineError):
    """A disk that is full, forbids what is asked, or fails."""


class CacheError(PipelineError):
    """A target cache that must not be trusted as it is."""


class DamagedError(CacheError):
    """Bytes differ from what was written."""


class MismatchError(CacheError):
    """The cache was made by, or for, something else."""


class LockedError(CacheError):
    """Another run is writing the cache."""
