"""Trained results to hold proxies against: benchmarks, tables from files, the bundled table. None of it imports torch.

`tables.load_accuracy` is the way in. `benchmark_files` finds the records of NAS-Bench-201 and NATS-Bench; without
executing anything, and in little memory, `record_reader` reads them (`stream`: its input and its memo); `records` makes
one row a training run of them, `summary` one row an architecture; `recipe` says what a column means. `table_files`
reads CSV and Parquet, `checks` refuses what would mislead a ranking, `convert` writes it all once as a small table.

`digits.csv` is the project's own: NAS-Bench-201 cells in a small network, trained on the digits of scikit-learn by
`benchmarks/train_digits.py`; `digits.json` states the recipe.
"""
