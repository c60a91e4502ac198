"""A study in MLflow: one experiment, a parent run that sums it up, a child run per trial.

The only file that imports mlflow, and only its client: the fluent API keeps an active run per process. A complete trial
is a FINISHED run, a pruned one KILLED, a failed one FAILED. The tags `pareto` ("true" on front members, absent
elsewhere) and `mlflow.runColor` let MLflow's own UI show the front.
"""

from __future__ import annotations

import logging
import math
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# MLflow reads these when imported or called: nothing about a user's studies leaves the machine unasked, and a run on a
# server is not announced on standard output.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient, MlflowException
from mlflow.entities import Metric, Param, Run, RunTag

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.search.front import Baseline, FrontPoint, hypervolume, markdown_table, saved_percent
from wordlength.search.plots import FRONT_COLOUR, OTHER_COLOUR, front_csv, pareto_html, pareto_png
from wordlength.space import Float32

STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAILED: "FAILED"}
"""How a trial ended → the status of its run."""

SERIES = ("overflow", "underflow", "precision", "zero_gradient", "max_magnitude", "integer_bits_needed", "sqnr_db")
"""The figures of a layer analysis that become metrics: a store takes 0.1 ms per number, and the UI loads them all."""

_BATCH_ENTITIES = 1000
_BATCH_PAIRS = 100
_PARAM_CHARACTERS = 6000
_TAG_CHARACTERS = 8000
_PAGE = 200
_SERVER_SECONDS = 10


def check_server(tracking_uri: str) -> None:
    """Raise SpecError if a tracking server does not answer; MLflow's own client would try for minutes."""
    if not tracking_uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(tracking_uri.rstrip("/") + "/health", timeout=_SERVER_SECONDS).close()
    except urllib.error.HTTPError:
        return  # It answers: who may use it is a matter for the first real call.
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SpecError(f"MLflow's tracking server must answer, but it does not: {reason} (storage.tracking)") from None


class Tracker:
    """Writes one study to an MLflow store; safe to stop at any moment and to open again.

    `tracking_uri`: `sqlite:///…` or `http(s)://…`; `artifact_root`: folder for artifacts of a new experiment (None:
    what the server prefers); `study`: the experiment's name. Opening a study that exists resumes it: its parent run
    is RUNNING again and its trials are known. Raises SpecError if the experiment lies in MLflow's trash.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None, study: str) -> None:
        self.study = study
        try:
            with _quiet_migrations():
                self._client = MlflowClient(tracking_uri=tracking_uri)
                self.experiment_id = self._open_experiment(artifact_root)
        except MlflowException as error:
            reason = str(error).splitlines()[0]
            raise SpecError(f"MLflow's store must open, but it does not: {reason} (storage.tracking)") from None
        self.run_id = self._open_parent()
        self._baseline_bytes: int | None = None
        self._runs: dict[int, str] = {}
        self._unfinished: dict[int, Run] = {}
        self._front: set[int] = set()
        self._load_trials()

    @property
    def trials(self) -> Collection[int]:
        """Numbers of the trials that are recorded to the end."""
        return self._runs.keys()

    def start(
        self, params: Mapping[str, str], tags: Mapping[str, str], metrics: Mapping[str, float], study_file: str
    ) -> None:
        """Describe the study on its parent run; `study_file` is the text that becomes the artifact study.yaml.

        MLflow's params cannot change: when a study is resumed with another value, the first one stays and the new one
        becomes the tag `resumed.NAME`. `metrics["baseline_memory_bytes"]` lets trials state what they save. Values are
        cut at 6,000 characters.
        """
        known = self._client.get_run(self.run_id).data
        if known.tags.get("study.id", tags.get("study.id")) != tags.get("study.id"):
            raise SpecError(
                f"an MLflow experiment belongs to one study, but {self.study!r} holds the trials of another "
                "of that name; give the study another name"
            )
        wanted = {_key(name): _cut(value, _PARAM_CHARACTERS) for name, value in params.items()}
        changed = {f"resumed.{k}": v for k, v in wanted.items() if known.params.get(k, v) != v}
        new_metrics = {k: v for k, v in metrics.items() if math.isfinite(v) and known.metrics.get(k) != v}
        self._log(
            self.run_id,
            [Metric(_key(name), value, _now_ms(), 0) for name, value in new_metrics.items()],
            {name: value for name, value in wanted.items() if name not in known.params},
            {**tags, **changed},
        )
        self._client.log_text(self.run_id, study_file, "study.yaml")
        if "baseline_memory_bytes" in metrics:
            self._baseline_bytes = int(metrics["baseline_memory_bytes"])

    def log_trial(self, report: TrialReport, label: str = "", front_numbers: Collection[int] = ()) -> None:
        """Record a finished trial as a child run; a trial that is recorded already stays as it is.

        A run that an earlier process left half written is completed, not repeated. `label` names a uniform reference
        format; `front_numbers` says who is on the front now.
        """
        if report.number in self._runs:
            return
        run = self._unfinished.get(report.number) or self._create_child(report, label, report.number in front_numbers)
        # One time stamp, kept by the run: writing again what was written before then changes nothing in the store.
        # In order of names: a series split over two calls would be written, then updated.
        points = sorted(_trial_metrics(report, self._baseline_bytes, run.info.start_time), key=lambda point: point.key)
        self._log(run.info.run_id, points, {_key(str(slot)): str(fmt) for slot, fmt in report.candidate.pairs})
        self._client.set_terminated(run.info.run_id, STATUS[report.state])
        self._unfinished.pop(report.number, None)
        self._remember(run)

    def show_front(self, points: Iterable[FrontPoint], front: Sequence[FrontPoint], baseline: Baseline) -> None:
        """Make tags, figures, table and note of the study tell `front`; `points` are all complete trials.

        Only trials that joined or left the front are touched; a member that was never logged has no run to mark.
        """
        every = tuple(points)
        self._retag({point.number for point in front})
        area = hypervolume(every, baseline.memory_bytes)
        figures = {"hypervolume": area, "front_size": float(len(front))}
        figures |= {"best_stoi_improvement": front[-1].stoi_improvement} if front else {}
        metrics = [Metric(name, value, _now_ms(), len(self._runs)) for name, value in figures.items()]
        self._upload(
            {
                "pareto_front.html": pareto_html(every, front, baseline, self.study, len(self._runs)).encode(),
                "pareto_front.png": pareto_png(every, front, baseline, self.study, len(self._runs)),
                "front.csv": front_csv(front, baseline.memory_bytes).encode(),
            }
        )
        self._log(self.run_id, metrics, tags={"mlflow.note.content": self._note(front, baseline, area)})

    def finish(self, state: str = "FINISHED") -> None:
        """End the parent run as FINISHED, KILLED or FAILED. Raises ValueError for another state."""
        if state not in STATUS.values():
            raise ValueError(f"a study ends as one of {', '.join(STATUS.values())}, but got {state!r}")
        self._client.set_terminated(self.run_id, state)

    def _open_experiment(self, artifact_root: Path | None) -> str:
        found = self._client.get_experiment_by_name(self.study)
        if found is None:
            folder = re.sub(r"[^\w-]+", "_", self.study)
            location = None if artifact_root is None else (artifact_root.resolve() / folder).as_uri()
            return str(self._client.create_experiment(self.study, artifact_location=location))
        if found.lifecycle_stage != "active":
            command = f"mlflow experiments restore --experiment-id {found.experiment_id}"
            raise SpecError(f"a study's experiment must be active, but {self.study!r} was deleted (undo: {command})")
        return str(found.experiment_id)

    def _open_parent(self) -> str:
        found = self._client.search_runs([self.experiment_id], "tags.kind = 'study'", max_results=1)
        if not found:
            run = self._client.create_run(self.experiment_id, tags={"kind": "study"}, run_name=self.study)
            return str(run.info.run_id)
        self._client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)

    def _load_trials(self) -> None:
        """Every child of the parent run, page by page."""
        query, token = f"tags.kind = 'trial' and tags.mlflow.parentRunId = '{self.run_id}'", None
        while True:
            page = self._client.search_runs([self.experiment_id], query, max_results=_PAGE, page_token=token)
            for run in page:
                if run.info.status == "RUNNING":
                    self._unfinished[int(run.data.tags["trial.number"])] = run
                else:
                    self._remember(run)
            token = page.token
            if not token:
                return

    def _remember(self, run: Run) -> None:
        number = int(run.data.tags["trial.number"])
        self._runs[number] = run.info.run_id
        if run.data.tags.get("pareto") == "true":
            self._front.add(number)

    def _create_child(self, report: TrialReport, label: str, on_front: bool) -> Run:
        tags = {
            "mlflow.parentRunId": self.run_id,
            "mlflow.runColor": FRONT_COLOUR if on_front else OTHER_COLOUR,
            "kind": "trial",
            "trial.number": str(report.number),
            "trial.state": report.state.value,
            "trial.reason": _cut(report.reason, _TAG_CHARACTERS),
            "trial.digest": report.candidate.digest,
            "trial.label": label,
        }
        tags |= {"pareto": "true"} if on_front else {}
        started_ms = _now_ms() - round(1000 * math.fsum(report.seconds.values()))
        name = f"trial {report.number}" + (f" ({label})" if label else "")
        return self._client.create_run(self.experiment_id, start_time=started_ms, tags=tags, run_name=name)

    def _log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """In as few calls as MLflow's limits per call allow: 100 params, 100 tags, 1,000 of everything."""
        pairs = [Param(name, value) for name, value in (params or {}).items()]
        marks = [RunTag(name, _cut(value, _TAG_CHARACTERS)) for name, value in (tags or {}).items()]
        while metrics or pairs or marks:
            room = _BATCH_ENTITIES - len(pairs[:_BATCH_PAIRS]) - len(marks[:_BATCH_PAIRS])
            self._client.log_batch(run_id, metrics[:room], pairs[:_BATCH_PAIRS], marks[:_BATCH_PAIRS])
            metrics, pairs, marks = metrics[room:], pairs[_BATCH_PAIRS:], marks[_BATCH_PAIRS:]

    def _retag(self, members: set[int]) -> None:
        members &= self._runs.keys()
        for number in sorted(members - self._front):
            with _unless_deleted():
                self._log(self._runs[number], tags={"pareto": "true", "mlflow.runColor": FRONT_COLOUR})
        for number in sorted(self._front - members):
            with _unless_deleted():
                # The tag goes last: as long as it is there, the next opening knows that there is work left.
                self._client.set_tag(self._runs[number], "mlflow.runColor", OTHER_COLOUR)
                self._client.delete_tag(self._runs[number], "pareto")
        self._front = members

    def _upload(self, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(self.run_id, folder)

    def _note(self, front: Sequence[FrontPoint], baseline: Baseline, area: float) -> str:
        """The parent run's description in Markdown, within the length of a tag."""
        runs = f"#/experiments/{self.experiment_id}/runs"
        # Without it MLflow shows the pages that belong to language models.
        view = "?workflowType=machine_learning"
        files = f"{runs}/{self.run_id}/artifacts"
        # The count at the end of the picture's address makes browsers fetch the new picture.
        picture = f"/get-artifact?path=pareto_front.png&run_uuid={self.run_id}&trials={len(self._runs)}"
        head = (
            f"**Pareto front after {len(self._runs)} trials**, hypervolume {area:.5f}. float32 baseline: "
            f"STOI improvement {baseline.stoi_improvement:.4f} with {baseline.memory_bytes:,} bytes.\n\n"
            f"[Interactive figure]({files}/pareto_front.html{view}) · [all formats]({files}/front.csv{view})\n\n"
            f"![Pareto front]({picture})\n\n"
        )
        links = {number: f"{runs}/{run_id}{view}" for number, run_id in self._runs.items()}
        return head + markdown_table(front, baseline, links, _TAG_CHARACTERS - len(head))


def _trial_metrics(report: TrialReport, baseline_bytes: int | None, stamp_ms: int) -> Iterator[Metric]:
    """Every finite number of a report, with its epoch as step where it has one."""
    for name, step, value in _trial_figures(report, baseline_bytes):
        if value is not None and math.isfinite(value):
            yield Metric(_key(name), float(value), stamp_ms, step)


def _trial_figures(report: TrialReport, baseline_bytes: int | None) -> Iterator[tuple[str, int, float | None]]:
    yield "stoi_improvement", 0, report.stoi_improvement
    yield "stoi_standard_error", 0, report.stoi_standard_error
    yield "baseline_difference", 0, report.baseline_difference
    yield "baseline_difference_error", 0, report.baseline_difference_error
    yield "memory_bytes", 0, report.memory_bytes
    if baseline_bytes is not None:
        yield "memory_saved_percent", 0, saved_percent(report.memory_bytes, baseline_bytes)
    for gate, excess in report.constraints.items():
        yield f"constraint/{gate}", 0, excess
    for phase, seconds in report.seconds.items():
        yield f"seconds/{phase}", 0, seconds
    for step, losses in enumerate(report.losses, start=1):
        for epoch, loss in enumerate(losses, start=1):
            yield f"loss/step{step}", epoch, loss
    for row in report.analyses:
        # A tensor that stays in float32 has nothing to violate.
        for name in () if row.format == Float32() else SERIES:
            yield f"step{row.step}.{name}/{row.slot}", row.epoch, row.figures[name]


def _key(name: str) -> str:
    """`name` as MLflow allows it: every other character by its code point."""
    return re.sub(r"[^\w.\- :/]", lambda match: f"_x{ord(match[0]):x}_", name)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _unless_deleted() -> Iterator[None]:
    """A user may delete a run, or its tag, in the UI while the study goes on: then there is nothing to change."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST" and "must be in the 'active' state" not in str(error):
            raise


@contextmanager
def _quiet_migrations() -> Iterator[None]:
    """The first use of a store runs all of MLflow's migrations, which report themselves one by one."""
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
