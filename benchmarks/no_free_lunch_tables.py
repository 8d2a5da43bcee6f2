"""Copy the tables of a finished run of the no-free-lunch study to benchmarks/results/no_free_lunch/, compactly.

    automl-theory reproduce no-free-lunch --run runs/full
    python benchmarks/no_free_lunch_tables.py runs/full

Numbers keep five significant digits, statistics of them at most that: a table to read and to draw, not to resume from.
`run.json` says what was run, `seconds.json` how long each stage took.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent / "results" / "no_free_lunch"
TABLES = ("graph", "exact", "measured", "trained", "extras", "warnings", "claims")
ABOUT = ("run.json", "seconds.json")


def short(value: object) -> object:
    """A number that stands among words, with five significant digits; a code such as 2_22_221 is none."""
    try:
        return value if "_" in str(value) else f"{float(str(value)):.5g}"
    except ValueError:
        return value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    missing = [name for name in TABLES if not (chosen.run / f"{name}.csv").is_file()]
    if missing:
        print(f"{chosen.run} has no {', '.join(missing)}: the run is not over; start it again", file=sys.stderr)
        return 2
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        table = pd.read_csv(chosen.run / f"{name}.csv", keep_default_na=False, na_values=[""], dtype={"arch": str})
        for column in {"paper", "ours"} & set(table.columns):
            table[column] = table[column].map(short, na_action="ignore")
        table.to_csv(chosen.out / f"{name}.csv", index=False, float_format="%.5g")
    for name in ABOUT:
        shutil.copyfile(chosen.run / name, chosen.out / name)
    print(f"{chosen.out}: {sum(file.stat().st_size for file in chosen.out.iterdir()) / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
