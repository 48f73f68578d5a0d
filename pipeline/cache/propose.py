"""Fields and encodings that fit a budget of bytes, with the error that each step costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cache.columns import ENCODINGS
from pipeline.cache.encoding import EncodingError
from pipeline.cache.estimate import Estimate
from pipeline.cache.fields import TOKENS
from pipeline.cache.plan import Plan


@dataclass(frozen=True)
class Proposal:
    """What would fit.

    Args:
        fields: The fields kept, with their options.
        dropped: Fields that do not fit in any encoding, largest first.
        bytes: The expected size in all.
        error: Of each kept floating column, the error of its encoding over the sample.
        fits: Whether it does; not even the tokens may.
    """

    fields: Mapping[str, Mapping[str, Any]]
    dropped: tuple[str, ...]
    bytes: int
    error: Mapping[str, EncodingError]
    fits: bool

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "fields": {name: dict(options) for name, options in self.fields.items()},
            "dropped": list(self.dropped),
            "bytes": self.bytes,
            "error": {column: error.summary() for column, error in self.error.items()},
            "fits": self.fits,
        }

    def lines(self, target: str) -> list[str]:
        """For people: YAML for the params of the target set called `target`, with comments."""
        options = {
            name: ", ".join(f"{key}: {value}" for key, value in given.items())
            for name, given in self.fields.items()
        }
        lines = [
            f"# {self.bytes / 1e9:.3g} GB in all{'' if self.fits else ': does NOT fit, whatever is dropped'}"
        ]
        lines += [f"targets.{target}.fields:", *(f"  {name}: {{{text}}}" for name, text in options.items())]
        for column, error in self.error.items():
            measured = error.summary()
            nats = "" if measured["kl"] is None else f", {measured['kl']:.2g} nats a row"
            off = f"{measured['mean']:.2g} on average, {measured['maximum']:.2g} at most"
            lines.append(f"# {column}: off by {off}{nats}")
        lines += [f"# {name}: does not fit in any encoding" for name in self.dropped]
        return lines


def propose(planned: Plan, estimate: Estimate, budget_gb: float) -> Proposal:
    """The planned fields in encodings that fit into `budget_gb`, losing as little as possible.

    Starting from the encodings asked for, the step taken is always the one that costs the least mean error,
    in units of the field's own bfloat16 error, for each byte it saves; where every field is at its smallest,
    the largest is dropped.

    Args:
        planned: All that is wanted.
        estimate: Measured for it.
        budget_gb: 10^9 bytes that the cache may take.
    """
    unique = len(planned.rows.first)
    tokens = planned.fields[TOKENS].bytes_per_row * unique
    encodings = {name: planned.settings.options(name).get("dtype", "") for name in planned.settings.fields}
    dropped: list[str] = []

    def size() -> float:
        return tokens + unique * sum(estimate.fields[name].bytes_per_row[e] for name, e in encodings.items())

    while size() > budget_gb * 1e9 and encodings:
        steps = [
            (_cost(estimate, name, encodings[name], smaller), name, smaller)
            for name in encodings
            for smaller in _smaller(estimate, name, encodings[name])
        ]
        if steps:
            _, name, smaller = min(steps)
            encodings[name] = smaller
        else:
            largest = max(encodings, key=lambda name: estimate.fields[name].bytes_per_row[encodings[name]])
            dropped.append(largest)
            del encodings[largest]
    total = size()
    return Proposal(
        fields={
            name: {**planned.settings.fields[name], **({"dtype": encoding} if encoding else {})}
            for name, encoding in encodings.items()
        },
        dropped=tuple(dropped),
        bytes=round(total),
        error={
            column: error
            for name, encoding in encodings.items()
            for column, error in estimate.fields[name].error[encoding].items()
        },
        fits=total <= budget_gb * 1e9,
    )


def _smaller(estimate: Estimate, name: str, encoding: str) -> list[str]:
    sizes = estimate.fields[name].bytes_per_row
    return [other for other in ENCODINGS if other in sizes and sizes[other] < sizes[encoding]]


def _cost(estimate: Estimate, name: str, encoding: str, smaller: str) -> float:
    """Error added for each byte saved, in units of what bfloat16 would cost."""
    field = estimate.fields[name]
    added = _mean(estimate, name, smaller) - _mean(estimate, name, encoding)
    unit = max(_mean(estimate, name, "bfloat16"), 1e-12)
    return added / unit / (field.bytes_per_row[encoding] - field.bytes_per_row[smaller])


def _mean(estimate: Estimate, name: str, encoding: str) -> float:
    errors = estimate.fields[name].error[encoding].values()
    return sum(error.total / max(error.values, 1) for error in errors)
