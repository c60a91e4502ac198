"""hls4ml/ of a bundle: the network for FPGAs, and its C simulation."""

from wordlength.search.export.hls.project import FOLDER, write_project
from wordlength.search.export.hls.simulation import check_hls4ml
from wordlength.search.export.hls.translate import HLS_LAYERS

__all__ = ["FOLDER", "HLS_LAYERS", "check_hls4ml", "write_project"]
