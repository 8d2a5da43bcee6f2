"""Sparse networks: masks, pruning at initialisation, dynamic sparse training."""
