"""Graphs of architectures and of masks: plain data and numpy, never torch.

`dag` measures cells (paths, depth, width, connectivity); `table` puts the measures of a space into a DataFrame. A
pruned layer is a bipartite graph (`bipartite`); `mask_metrics` takes all its measures, `mask_table` a network's.
"""
