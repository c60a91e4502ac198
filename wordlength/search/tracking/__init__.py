"""The study's recorder: the only package that imports mlflow."""

from wordlength.search.tracking.audit import Recorded, RecordedTrial, recorded, remove_runs
from wordlength.search.tracking.bundle import log_bundle
from wordlength.search.tracking.description import DataSet, Description
from wordlength.search.tracking.process import TrackerProcess, TrackingError
from wordlength.search.tracking.removal import (
    KeptExperiment,
    kept_experiments,
    remove_experiment,
    remove_trashed_runs,
)
from wordlength.search.tracking.retrained_run import log_retrained
from wordlength.search.tracking.store import answering, check_server, count_experiments
from wordlength.search.tracking.tracker import Tracker, publish_views
from wordlength.search.tracking.transfer import has_experiment, put_in_runs, take_out_runs
from wordlength.search.tracking.trial_run import STATUS as RUN_STATUS
from wordlength.search.tracking.trial_run import WEIGHTS

__all__ = [
    "RUN_STATUS",
    "WEIGHTS",
    "DataSet",
    "Description",
    "KeptExperiment",
    "Recorded",
    "RecordedTrial",
    "Tracker",
    "TrackerProcess",
    "TrackingError",
    "answering",
    "check_server",
    "count_experiments",
    "has_experiment",
    "kept_experiments",
    "log_bundle",
    "log_retrained",
    "publish_views",
    "put_in_runs",
    "recorded",
    "remove_experiment",
    "remove_runs",
    "remove_trashed_runs",
    "take_out_runs",
]
