"""The check of the options that are chances."""

from math import fsum

from pipeline.errors import ParamsError


def check_chances(**chances: float) -> None:
    """Refuse chances that exclude each other and are not from 0 to 1, each and together.

    Raises:
        ParamsError: They are not.
    """
    if not all(chance >= 0 for chance in chances.values()) or not fsum(chances.values()) <= 1:
        raise ParamsError(
            ", ".join(chances),
            expected="from 0 to 1" + (", together too" if len(chances) > 1 else ""),
            got=", ".join(str(chance) for chance in chances.values()),
            remedy="choose others",
        )
