"""hls4ml/ of a bundle: the network for FPGAs, and its C simulation."""

from wordlength.search.export.hls.project import FOLDER, write_project
from wordlength.search.export.hls.simulation import check_hls4ml

__all__ = ["FOLDER", "check_hls4ml", "write_project"]
