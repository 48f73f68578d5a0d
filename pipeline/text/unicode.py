"""Text that can be written as UTF-8."""


def is_unicode(text: str) -> bool:
    """False where `text` holds half of a surrogate pair, as JSON's escapes may spell it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
