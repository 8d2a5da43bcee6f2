"""Graphs of architectures and of masks: plain data and numpy, never torch.

`dag` measures cells (paths, depth, width, connectivity); `table` puts the measures of a space into a DataFrame.
"""
