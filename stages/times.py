"""How long each stage took when it last ran."""

import json

from stages.running import TIMES


def print_times() -> None:
    """Print a table of stage times, in the order they ended."""
    if not TIMES.is_file():
        print("no stage has run yet")
        return
    last: dict[tuple[str, str], dict[str, float]] = {}
    for line in TIMES.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        key = (record["stage"], record["name"])
        last.pop(key, None)
        last[key] = record
    print("\n| stage | name | seconds |\n|---|---|---:|")
    for (stage, name), record in last.items():
        print(f"| {stage} | {name} | {record['seconds']:.1f} |")
    print(f"| all | | {sum(record['seconds'] for record in last.values()):.1f} |")
