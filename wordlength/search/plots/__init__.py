"""A study's front drawn: interactive page, picture, tables, formats by layer, importance of parameters.

plotly and matplotlib are imported inside the functions that draw, so that importing this costs nothing.
"""

from wordlength.search.plots.figure import plotly_figure
from wordlength.search.plots.formats import formats_html
from wordlength.search.plots.importance import importance_csv, importance_html
from wordlength.search.plots.page import pareto_html
from wordlength.search.plots.paper import paper_mark, point_name, uniform_formats
from wordlength.search.plots.picture import pareto_png
from wordlength.search.plots.scale import FRONT_COLOUR, OTHER_COLOUR, drawn, marked
from wordlength.search.plots.table import front_csv, front_figures

__all__ = [
    "FRONT_COLOUR",
    "OTHER_COLOUR",
    "drawn",
    "formats_html",
    "front_csv",
    "front_figures",
    "importance_csv",
    "importance_html",
    "marked",
    "paper_mark",
    "pareto_html",
    "pareto_png",
    "plotly_figure",
    "point_name",
    "uniform_formats",
]
