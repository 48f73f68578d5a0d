import pickle

import pytest

from pipeline import errors


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)],
)
def test_an_error_of_another_process_arrives_whole(kind: type[errors.PipelineError]) -> None:
    error = kind("a/file", expected="one thing", got="another", remedy="mend it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "a/file: expected one thing; got another; mend it"
    assert (again.where, again.expected, again.got, again.remedy) == (
        "a/file", "one thing", "another", "mend it",
    )  # fmt: skip
