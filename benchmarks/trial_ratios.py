"""What a trial costs, as ratios in one run: against the plain loop's, one worker and two, screened and not.

    .venv/bin/python benchmarks/trial_ratios.py CASE [ROUNDS]

CASE: a folder of `contenders/case.py`, whose study's data and baseline are in WORDLENGTH_HOME. In every round the plain
loop trains one trial (with TensorFlow's own choice of threads), then one worker trains one, then two workers one each,
then two workers do what a screened study does for two of its trials; all with the same uniform format. Printed are
medians and ranges over the rounds.
"""

import multiprocessing
import statistics
import sys
import time
from pathlib import Path

from contenders.common import Case

from wordlength import Candidate, Fixed, Home, TrialJob
from wordlength.objectives.baseline import baseline_path, load_baseline
from wordlength.search.actors import TrialWorker
from wordlength.search.jobs import AssessJob, Finished
from wordlength.search.launch import evaluation_settings, prepare_data
from wordlength.search.study_file.spec import ScreeningSpec, WorkersSpec, parse_spec
from wordlength.search.workers import WorkerPool

BITS, INTEGER, ACTIVATIONS = 4, -1, (16, 2)
SCREENING = ScreeningSpec()


def plain_trials(case_folder, asked, told):
    """The plain loop in a process of its own: a trial per message."""
    sys.path.insert(0, str(Path(__file__).parent / "contenders"))
    from plain_loop import LayerFormats, Workbench, quantizable

    bench = Workbench(Case(case_folder))
    formats = dict.fromkeys(quantizable(bench.case.info), LayerFormats("fixed", BITS, INTEGER, *ACTIVATIONS))
    while asked.get():
        began = time.perf_counter()
        done = bench.evaluate(formats)
        told.put((time.perf_counter() - began, done.stoi_improvement))


class Ours:
    """Warm workers and the seconds that jobs take on them."""

    def __init__(self, case, pool):
        study = parse_spec(case.info["study_file"], Path("benchmarks") / "time_to_front.yaml")
        data, settings = prepare_data(study, Home.default()), evaluation_settings(study)
        baseline = load_baseline(baseline_path(Home.default().cache, case.info["baseline"]["digest"]))
        slots = [info.slot for info in baseline.slots]
        self.candidate = Candidate.uniform(slots, Fixed(BITS, INTEGER), Fixed(16, 2), Fixed(*ACTIVATIONS))
        self.pool, self.weights = pool, pool.keep(baseline.weights)
        formats = tuple(self.candidate.items())
        pool.start(TrialWorker, pool.share(data), pool.keep(baseline), settings, formats, 1, False)
        self.reports = []
        self.seconds(self.trials(2))  # Traces.
        self.reports.clear()

    def trials(self, count):
        return [(TrialJob(number, self.candidate), ()) for number in range(count)]

    def screened(self, trials):
        """The jobs of so many trials and of what is judged for them."""
        rungs = [0.0] * SCREENING.short * SCREENING.candidates + [SCREENING.share] * SCREENING.short
        jobs = [AssessJob(self.candidate, int(share > 0), share, SCREENING.mixtures, 0) for share in rungs * trials]
        return [*self.trials(trials), *((job, (self.weights,)) for job in jobs)]

    def seconds(self, jobs):
        """Until all are done, on as many workers as there are jobs for."""
        began, waiting = time.perf_counter(), list(jobs)
        while waiting or self.pool.running:
            while waiting and self.pool.free:
                job, kept = waiting.pop(0)
                self.pool.submit(job, *kept)
            for told in self.pool.wait(60):
                assert isinstance(told, Finished)
                assert told.result is not None, told.reason
                if isinstance(told.job, TrialJob):
                    self.reports.append(told.result[0])
        return time.perf_counter() - began


def shown(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} – {max(values):.{digits}f})"


def elsewhere(report):
    """Share of a trial that is neither training nor measuring STOI (prediction and STOI)."""
    needed = sum(report.seconds[phase] for phase in ("step1_training", "step2_training", "prediction", "stoi"))
    return 1 - needed / sum(report.seconds.values())


def main(case_folder, rounds):
    context = multiprocessing.get_context("spawn")
    asked, told = context.Queue(), context.Queue()
    plain = context.Process(target=plain_trials, args=(case_folder, asked, told), daemon=True)
    plain.start()
    asked.put(True)
    told.get()  # Its first trial pays for imports.
    rows = []
    with WorkerPool(None, WorkersSpec(count=2)) as pool:
        ours = Ours(Case(case_folder), pool)
        for _ in range(rounds):
            asked.put(True)
            theirs, _ = told.get()
            one, two = ours.seconds(ours.trials(1)), ours.seconds(ours.trials(2))
            rows.append((theirs, one, two, ours.seconds(ours.screened(2))))
            print("seconds: plain trial {:.1f}, one {:.1f}, two at a time {:.1f}, screened {:.1f}".format(*rows[-1]))
        traces = pool.traces()
    asked.put(False)
    judged = 2 * SCREENING.short * SCREENING.candidates
    print(f"{rounds} rounds, median (range)")
    print(f"  {shown([two / 2 / theirs for theirs, _, two, _ in rows])}  trial of ours, on two workers, to plain one")
    print(f"  {shown([one / theirs for theirs, one, _, _ in rows])}  trial of ours on one core to plain one on two")
    print(f"  {shown([2 * one / two for _, one, two, _ in rows])}  two workers to one, trials per minute")
    print(f"  {shown([100 * elsewhere(r) for r in ours.reports], 1)} %  of a trial neither training nor STOI")
    print(f"  {shown([judged / s * theirs for theirs, _, _, s in rows], 1)}  candidates judged per plain trial's time")
    print(f"  traces of every worker: {traces}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
