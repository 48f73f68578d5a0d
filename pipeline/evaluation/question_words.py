"""Which question word a question asks with: the classes that scores are also given by.

Source: Hu et al. 2018, Attention-Guided Answer Distillation, figure 4. The paper does not say how a question
comes to its class; here the first question word decides ("In which year did those who ..." is a "which").
One without any is "be" where it begins with a form of that verb, else "other". A Chinese question has the
class of the English word that its own stands for, and is "be" where it asks for yes or no.
"""

import re

QUESTION_WORDS = ("what", "how", "who", "when", "which", "where", "why", "be", "other")

_ENGLISH = re.compile(r"\b(what|how|who|whom|whose|when|which|where|why)\b")
_ENGLISH_BE = re.compile(r"\W*(?:is|are|was|were|am|be)(?:n['’]t)?\b")
_FORMS = {"whom": "who", "whose": "who"}

# At one place in the text the first of these that fits counts; traditional characters stand beside simplified
# ones. Not every one asks: 几乎 is "almost" and 几内亚 a country, and 称为什么 is "called what", not "why".
_CHINESE = re.compile(
    "(?P<why>(?<![名称稱作])[为為](?:[什甚][么麼]|何|啥)|何以|何故)"
    "|(?P<when>[什甚][么麼][时時](?!代)|何[时時年月日]|哪一?个?[年月天日]|[几幾](?:[时時年月日]|[点點][钟鐘]))"
    "|(?P<where>[什甚][么麼]地[方点點区區]|何[处處地方]|哪(?:[里裡裏儿兒]|一?[个個]地[方区區]))"
    "|(?P<who>[谁誰]|何人|[什甚][么麼]人|哪(?:一?[位名]|一?[个個]人))"
    "|(?P<which>哪)"
    "|(?P<how>怎|如何|多少|[几幾](?!乎|何|率|近|内亚|內亞)|多[大长長高远遠久重宽寬深快厚])"
    "|(?P<what>[什甚][么麼]|[啥何])"
)
_CHINESE_BE = re.compile("是否|是不是|有[没沒]有|能否|可否|[吗嗎]")


def question_word(question: str, language: str) -> str:
    """The class of `question`, one of `QUESTION_WORDS`.

    Args:
        question: The question.
        language: "en" or "zh".
    """
    if language == "zh":
        if found := _CHINESE.search(question):
            return str(found.lastgroup)
        return "be" if _CHINESE_BE.search(question) else "other"
    lower = question.lower()
    if found := _ENGLISH.search(lower):
        return _FORMS.get(found[0], found[0])
    return "be" if _ENGLISH_BE.match(lower) else "other"
