"""An exported bundle in MLflow: artifacts of the run whose weights it holds."""

from __future__ import annotations

from pathlib import Path

from wordlength.errors import SpecError
from wordlength.search.tracking.store import Store, answering, check_server

FOLDER = "bundle"


def log_bundle(tracking_uri: str, study: str, number: int, retraining: str, bundle: Path) -> str:
    """Log a bundle's files below `bundle` of the trial's run; the run's name.

    `retraining`: the digest of the retraining whose weights it holds, empty for the trial's own. Raises SpecError if
    MLflow has no such run or does not take the files.
    """
    check_server(tracking_uri)
    wanted = f"tags.retrained.digest = '{retraining}'" if retraining else f"tags.trial.number = '{number}'"
    kind = "retrained" if retraining else "trial"
    with answering(study):
        store = Store.existing(tracking_uri, study)
        run = next(store.runs(f"tags.kind = '{kind}' and {wanted}"), None) if store else None
        if store is None or run is None:
            mend = f"wordlength retrain {study}" if retraining else f"wordlength check {study} --repair"
            raise SpecError(
                f"a bundle is logged to its trial's run, but MLflow has none of trial {number} of {study!r}; "
                f"mend with: {mend} (--mlflow)"
            )
        store.upload_folder(run.info.run_id, bundle, FOLDER)
        return str(run.info.run_name)
