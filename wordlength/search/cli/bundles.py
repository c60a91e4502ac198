"""Bundles: export, verify, import."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordlength.errors import BundleError, SpecError
from wordlength.search.cli.candidate_file import read_candidate
from wordlength.search.cli.common import (
    HomeOption,
    JsonFile,
    Pick,
    Retrained,
    Study,
    app,
    home_of,
    note,
    print_error,
    say,
    write_json,
)
from wordlength.search.cli.loudness import Verbose, switch
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordlength.search.export.config import BundleConfig
    from wordlength.search.export.verify import Verified
    from wordlength.search.home import Home


EXPORT = """
Export one trial as a bundle: what a firmware or FPGA team takes as it is.

The folder holds config.json, weights.bin (every parameter at its width: the bytes that the memory objective
counts) and weights.json, qkeras_model.keras, C99 code without floating point in c/, test vectors of every layer
in vectors/, a project for FPGAs in hls4ml/, report.md and report.html, SHA256SUMS. `wordlength verify` checks all
of it again.

Examples:

    wordlength export demo --pick knee --to best

    wordlength export demo --pick max-bytes=200kB --to small --retrained
"""
VERIFY = """
Check everything that a bundle says: files, weights, model, integers, C code, hls4ml, the first objective.

Exit status 1 and one line for the first thing that is not as it says.

Examples:

    wordlength verify best

    wordlength verify best --no-stoi

    wordlength verify best --study examples/demo.yaml
"""


def _within(option: str, lowest: int, highest: int) -> Callable[[int], int]:
    """What refuses a number out of range; in typer's own way the range would stand beside it and squeeze the help."""

    def checked(value: int) -> int:
        if not lowest <= value <= highest:
            name = option.strip("-").replace("-", " ")
            raise SpecError(f"{name} must be between {lowest:,} and {highest:,}, but got {value:,} ({option})")
        return value

    return checked


To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="New or empty folder for the bundle.")]
Vectors = Annotated[
    int,
    typer.Option(
        "--vectors", metavar="N", help="Test frames, 1 to 100,000.", callback=_within("--vectors", 1, 100_000)
    ),
]
InputBits = Annotated[
    int,
    typer.Option(
        "--input-bits",
        metavar="N",
        help="Width of the integer input, 2 to 24.",
        callback=_within("--input-bits", 2, 24),
    ),
]
Force = Annotated[bool, switch("--force", help="Replace an existing bundle.")]
NoMeasure = Annotated[
    bool,
    switch("--no-verify", help="Do not measure the written model and the C code on the validation mixtures."),
]
ToMlflow = Annotated[bool, switch("--mlflow", help="Also log the bundle to the trial's run in MLflow.")]
Bundle = Annotated[Path, typer.Argument(help="Folder that `wordlength export` wrote.")]
Corpora = Annotated[
    Path | None,
    typer.Option(
        "--study",
        metavar="FILE",
        help="Study file that says where the corpora lie, where the study's data is not in the cache.",
    ),
]


@app.command(help=EXPORT)
def export(
    study: Study,
    to: To,
    pick: Pick = "knee",
    retrained: Retrained = False,
    vectors: Vectors = 1000,
    input_bits: InputBits = 16,
    force: Force = False,
    no_verify: NoMeasure = False,
    to_mlflow: ToMlflow = False,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Write a bundle, and tell what was measured again."""
    place = home_of(home)
    threads = place.find(study).workers.cpus  # Before the imports that take seconds: a misspelt name is told at once.
    from wordlength.objectives.quiet import start_tensorflow
    from wordlength.search.export.bundle import export as run
    from wordlength.search.export.bundle import log_to_mlflow

    asked: dict[str, Any] = {
        "force": force,
        "retrained": retrained,
        "verify": not no_verify,
        "vectors": vectors,
        "input_bits": input_bits,
    }
    with at_work(f"{to} is as it was") as display:
        start_tensorflow(threads, verbose)
        done = run(study, pick, to, place, **asked, observer=display, tell=say)
    _tell_figures(done.config)
    note(f"written: {done.folder}")
    if to_mlflow:
        note(f"logged: {log_to_mlflow(done, place)}")


def _tell_figures(config: BundleConfig) -> None:
    """What was measured again."""
    logged, title = f"logged {config.objectives.quality:+.7f}", config.goal.title
    if config.quality_of_the_exported_model is not None:
        say(f"the written model: {title} {config.quality_of_the_exported_model:+.7f}, {logged}")
    arithmetic = config.arithmetic
    if arithmetic is None:
        say(f"no integers and no C: {config.no_arithmetic}")
        return
    last = arithmetic.layers[-1]
    say(
        f"integers against float32, {arithmetic.vectors:,} test frames: {1 - last.unequal:.2%} of outputs equal, "
        f"the others at most {last.largest} apart, in steps of 2^{arithmetic.output_exponent}"
    )
    if arithmetic.quality is not None:
        say(f"the C code: every test frame to the last bit, {title} {arithmetic.quality:+.7f}")
    else:
        say("the C code was not run; wordlength verify does that where a C compiler is")
    for layer, why in arithmetic.no_hls4ml.items():
        say(f"no hls4ml/: {layer}: {why}")


@app.command(help=VERIFY)
def verify(
    bundle: Bundle,
    study: Corpora = None,
    no_c: Annotated[bool, switch("--no-c", help="Do not compile and run the C code (with CC, or cc).")] = False,
    no_stoi: Annotated[
        bool, switch("--no-stoi", help="Do not measure the first objective, which needs the study's data.")
    ] = False,
    no_fpga: Annotated[
        bool,
        switch("--no-fpga", help="Do not run hls4ml's C simulation, which is run where hls4ml is installed."),
    ] = False,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Tell what was checked, and what was not."""
    from wordlength.search.export.manifest import require_bundle

    require_bundle(bundle)  # Before the imports that take seconds.
    from wordlength.search.export.verify import verify as run
    from wordlength.search.figures import unverified_figures, verified_figures

    place, parts = home_of(home), {"compile_c": not no_c, "stoi": not no_stoi, "fpga": not no_fpga}
    try:
        with at_work("nothing was changed") as display:
            done = run(bundle, place, study=study, **parts, progress=display.data, verbose=verbose)
    except BundleError as error:
        if json_file is not None:
            write_json(json_file, unverified_figures(bundle, str(error)))
        print_error(str(error))
        raise typer.Exit(1) from None
    if json_file is not None:
        write_json(json_file, verified_figures(bundle, done))
    _tell_checks(bundle, done)


def _tell_checks(bundle: Path, done: Verified) -> None:
    for line in done.checked:
        say(f"ok: {line}")
    for line in done.left_out:
        say(f"left out: {line}")
    for name in done.foreign:
        say(f"not of the bundle: {name}")
    said = "verified" if not done.left_out else "verified, but for what is left out"
    say(f"{said}: {done.config.study}, trial {done.config.trial} ({bundle})")


@app.command("import")
def import_(
    config: Annotated[Path, typer.Argument(help="An exported config.json, or any file of formats by slot.")],
    study: Study,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Have a study try a candidate next: the first trial of its next launch, or of one that runs.

    To train and analyse it at once, without a trial: wordlength analyze STUDY --candidate config.json.

    Example:

        wordlength import best/config.json demo
    """
    place = home_of(home)
    number = _queue(config, study, place, verbose)
    spec = place.find(study)
    say(
        f"queued in {spec.name!r}: {number} waiting; the next launch tries it first: "
        f"wordlength launch {place.study(spec.name).study_file}, with --trials above what is finished"
    )


def _queue(config: Path, study: str, home: Home, verbose: bool) -> int:
    """Queue the file's candidate; how many are queued then. Raises SpecError if the study knows it already."""
    from wordlength.objectives.quiet import start_tensorflow
    from wordlength.search.drivers import working
    from wordlength.search.launch import search_space
    from wordlength.search.session import model_slots, open_baseline
    from wordlength.search.study import StudyStore

    spec = home.find(study)
    start_tensorflow(spec.workers.cpus, verbose)
    candidate = read_candidate(config, model_slots(spec, verbose))
    with (
        working(home.study(spec.name), "an import"),
        closing(StudyStore.open(spec.name, home.optuna_address(spec))) as store,
    ):
        if store.knows(candidate.digest):
            numbers = ", ".join(str(row.number) for row in store.rows_of(candidate)) or "queued"
            raise SpecError(
                f"an imported candidate must be new to the study, but {spec.name!r} has it: trial {numbers} ({config})"
            )
        with at_work() as display:
            _, baseline = open_baseline(spec, home, display, verbose)
        store.queue(candidate, "", search_space(spec, baseline))
        return store.queued
