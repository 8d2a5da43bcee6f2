"""Figures of a score table: each takes a table and returns a matplotlib Axes, and has its data as an object beside it.

`draw_x(df, …)` computes `x_data(df, …)`, a frozen dataclass that holds every number drawn and what was left out, and
draws it; whoever wants another picture draws that object. `ax=` draws into an Axes that is already there.
"""

from automl_theory.report.figures.aspect_plane import AspectPlane, aspect_plane_data, draw_aspect_plane
from automl_theory.report.figures.depth_width import DepthWidth, depth_width_data, draw_depth_width
from automl_theory.report.figures.heat_map import HeatMap, draw_heat_map, heat_map_data
from automl_theory.report.figures.hexbin import Hexbin, draw_hexbin, hexbin_data
from automl_theory.report.figures.parallel import Parallel, draw_parallel, parallel_data

__all__ = [
    "AspectPlane",
    "DepthWidth",
    "HeatMap",
    "Hexbin",
    "Parallel",
    "aspect_plane_data",
    "depth_width_data",
    "draw_aspect_plane",
    "draw_depth_width",
    "draw_heat_map",
    "draw_hexbin",
    "draw_parallel",
    "heat_map_data",
    "hexbin_data",
    "parallel_data",
]
