"""The trained network in whole numbers: what an export computes, defined once (docs/integer-semantics.md)."""

from wordlength.objectives.integer.build import INTEGER_LAYERS, integer_program, parameters_of
from wordlength.objectives.integer.grid import Grid, Integers
from wordlength.objectives.integer.merging import Join, Merge
from wordlength.objectives.integer.moving import Move
from wordlength.objectives.integer.parameters import Parameter
from wordlength.objectives.integer.pooling import Pool
from wordlength.objectives.integer.program import INPUT, IntegerProgram, Step
from wordlength.objectives.integer.recurrent import Cell, Direction, Recurrent
from wordlength.objectives.integer.rounding import Round
from wordlength.objectives.integer.sums import Geometry, Shape, Sum

__all__ = [
    "INPUT",
    "INTEGER_LAYERS",
    "Cell",
    "Direction",
    "Geometry",
    "Grid",
    "IntegerProgram",
    "Integers",
    "Join",
    "Merge",
    "Move",
    "Parameter",
    "Pool",
    "Recurrent",
    "Round",
    "Shape",
    "Step",
    "Sum",
    "integer_program",
    "parameters_of",
]
