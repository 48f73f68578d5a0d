"""Classes of questions, worked by hand."""

import pytest

from pipeline.evaluation.question_words import QUESTION_WORDS, question_word


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is a D-loop?", "what"),
        ("In what country is Normandy located?", "what"),
        ("How many days?", "how"),
        ("Whose map was it?", "who"),
        ("To whom did he write?", "who"),
        ("Who's there?", "who"),
        # The first question word of several.
        ("When the war ended, who won?", "when"),
        ("WHICH team won?", "which"),
        ("Where?", "where"),
        ("Just why was it built?", "why"),
        ("Is it harder to change?", "be"),
        ('"Were the centers profitable"', "be"),
        ("Isn't it?", "be"),
        # A form of "be" elsewhere asks nothing, and neither do words that only look like question words.
        ("The name of the game is?", "other"),
        ("Did Norway join?", "other"),
        ("Whatever happened, somehow?", "other"),
        ("", "other"),
    ],
)
def test_english(question, expected):
    assert question_word(question, "en") == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("北宋路制具体包含什么内容？", "what"),
        ("7至8世紀間被稱為甚麼時代?", "what"),
        ("该奖有何意义？", "what"),
        ("有多少人口？", "how"),
        ("佔地幾英畝?", "how"),
        ("形象是怎样的？", "how"),
        ("如何避免？", "how"),
        ("由谁所发现？", "who"),
        ("是哪一位發現的?", "who"),
        ("国家气象局是哪一年成立的？", "when"),
        ("爆發於何時?", "when"),
        ("几内亚拥有货币发行权是在什么时候？", "when"),
        ("属于哪个国家？", "which"),
        ("位在什么地方？", "where"),
        ("舉行於哪裡?", "where"),
        ("为什么被称为“苏州街站”？", "why"),
        ("遺跡名為什麼?", "what"),
        ("辭職是為何?", "why"),
        ("他是否去过？", "be"),
        ("他去过吗？", "be"),
        ("他的职业是？", "other"),
        ("几乎没有记录的是？", "other"),
    ],
)
def test_chinese(question, expected):
    assert question_word(question, "zh") == expected


def test_every_class_is_known():
    found = {question_word(text, language) for language in ("en", "zh") for text in ("why", "为什么", "x")}
    assert found <= set(QUESTION_WORDS)
