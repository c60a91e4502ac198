"""The network as C99: without dependencies, floating point or heap."""

from wordlength.search.export.c.files import FLAGS, c_files
from wordlength.search.export.c.plan import Stage, plan

__all__ = ["FLAGS", "Stage", "c_files", "plan"]
