"""The study's recorder: the only package that imports mlflow."""

from wordlength.search.tracking.audit import Recorded, RecordedTrial, recorded, remove_runs
from wordlength.search.tracking.description import DataSet, Description
from wordlength.search.tracking.store import REFUSALS, check_server, is_away
from wordlength.search.tracking.store import first_line as reason_of
from wordlength.search.tracking.tracker import Tracker, publish_views
from wordlength.search.tracking.trial_run import STATUS as RUN_STATUS
from wordlength.search.tracking.trial_run import WEIGHTS

__all__ = [
    "REFUSALS",
    "RUN_STATUS",
    "WEIGHTS",
    "DataSet",
    "Description",
    "Recorded",
    "RecordedTrial",
    "Tracker",
    "check_server",
    "is_away",
    "publish_views",
    "reason_of",
    "recorded",
    "remove_runs",
]
