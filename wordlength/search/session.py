"""TensorFlow in this process: one candidate, its memory, its weights, for commands that need no workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.objectives.quiet import quiet_tensorflow, start_tensorflow
from wordlength.search.drivers import working
from wordlength.search.home import Home
from wordlength.search.launch import evaluation_settings, prepare_data
from wordlength.search.observer import Observer
from wordlength.search.study import load_study, remembered
from wordlength.search.study_file.space import build_space
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.study_file.unchanged import check_baseline, check_unchanged
from wordlength.search.tracking import Description
from wordlength.space import SlotInfo

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.evaluate import Evaluator


@contextmanager
def using(spec: StudySpec, home: Home, command: str) -> Iterator[None]:
    """Where the study was launched here, keep it and its caches from being removed while the block works on them."""
    folder = home.study(spec.name)
    with working(folder, command) if folder.study_file.exists() else nullcontext():
        yield


def model_slots(spec: StudySpec, verbose: bool = False) -> tuple[SlotInfo, ...]:
    """The slots of the study's network, without data or training."""
    with quiet_tensorflow(verbose):
        from wordlength.objectives.models.float_network import float_network
        from wordlength.space import find_slots

        return find_slots(float_network(spec.model, spec.data.shape))


def describe_again(spec: StudySpec, identity: str, home: Home, verbose: bool = False) -> Description:
    """As much as MLflow must be told of a launched study to have its trials written again; without data."""
    slots = model_slots(spec, verbose)
    known = load_study(spec.name, home).baseline
    searched = build_space(spec.space, slots).searched
    return Description(known, slots, searched, spec.analysis.precision_limit, tags={"study.id": identity})


def open_baseline(
    spec: StudySpec,
    home: Home,
    observer: Observer | None = None,
    verbose: bool = False,
    data: PreparedData | None = None,
) -> tuple[PreparedData, Baseline]:
    """The study's data and its float baseline, trained or from the cache, as its workers have them.

    `data`: where they are prepared already.
    """
    data = data or prepare_data(spec, home, observer)
    start_tensorflow(spec.workers.cpus, verbose)
    from wordlength.objectives.baseline import prepare_baseline

    tell: Callable[[BaselineProgress | Baseline], None] = (observer or Observer()).baseline
    for item in prepare_baseline(data, evaluation_settings(spec), spec.seed, home.cache, spec.workers.cpus):
        tell(item)
    assert isinstance(item, Baseline)
    return data, item


def open_unchanged(
    spec: StudySpec,
    home: Home,
    observer: Observer | None = None,
    verbose: bool = False,
    data: PreparedData | None = None,
) -> tuple[PreparedData, Baseline]:
    """As `open_baseline`, of a launched study. Raises SpecError if data or float baseline are no longer the study's."""
    known = remembered(spec, home)
    data = data or prepare_data(spec, home, observer)
    check_unchanged(known, spec, data.digest)
    data, baseline = open_baseline(spec, home, observer, verbose, data)
    check_baseline(known, spec.name, baseline.content_digest)
    return data, baseline


def open_evaluator(
    spec: StudySpec,
    home: Home,
    observer: Observer | None = None,
    verbose: bool = False,
    data: PreparedData | None = None,
) -> tuple[Evaluator, Baseline]:
    """What a worker of this study is, in this process: same data, baseline, threads and so the same figures."""
    data, baseline = open_baseline(spec, home, observer, verbose, data)
    from wordlength.objectives.evaluate import Evaluator

    return Evaluator(data, baseline, evaluation_settings(spec)), baseline
