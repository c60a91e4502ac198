"""The study's recorder: the only package that imports mlflow."""

from wordlength.search.tracking.description import DataSet, Description
from wordlength.search.tracking.store import check_server
from wordlength.search.tracking.tracker import Tracker, publish_views

__all__ = ["DataSet", "Description", "Tracker", "check_server", "publish_views"]
