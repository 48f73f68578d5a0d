"""Names of a model's outputs."""

from pipeline.tasks.outputs import are_numbers, output_names


def test_outputs_are_in_the_order_of_their_numbers():
    assert output_names({"0": "a", "1": "b", "10": "k", "2": "c"}) == ("a", "b", "c", "k")
    assert output_names({1: "b", 0: "a"}) == ("a", "b")
    assert output_names(None) == ()


def test_names_that_say_nothing():
    assert are_numbers(())
    assert are_numbers(("LABEL_0", "LABEL_1"))
    assert not are_numbers(("LABEL_1", "LABEL_0"))
    assert not are_numbers(("no", "yes"))
