"""Trained results to hold proxies against: the bundled table and tables from files. Nothing here imports torch.

`digits.csv` is the project's own: NAS-Bench-201 cells in a small network, trained on the digits of scikit-learn by
`benchmarks/train_digits.py`; `digits.json` states the recipe.
"""
