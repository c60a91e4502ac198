"""Bundles: export, verify, import."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.errors import SpecError
from wordlength.search.cli.candidate_file import read_candidate
from wordlength.search.cli.common import HomeOption, JsonFile, Study, Verbose, app, console, home_of, write_json

if TYPE_CHECKING:
    from wordlength.search.export.config import BundleConfig
    from wordlength.search.home import Home


@app.command()
def export(
    study: Study,
    to: Annotated[Path, typer.Option("--to", help="New or empty folder for the bundle.")],
    pick: Annotated[
        str, typer.Option("--pick", help="knee, best, smallest, trial=N or max-bytes=SIZE (as 120kB).")
    ] = "knee",
    retrained: Annotated[
        bool, typer.Option("--retrained", help="The weights of `wordlength retrain` in place of the trial's own.")
    ] = False,
    vectors: Annotated[int, typer.Option("--vectors", min=1, max=100_000, help="Test frames.")] = 1000,
    input_bits: Annotated[int, typer.Option("--input-bits", min=2, max=24, help="Width of the integer input.")] = 16,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    verify: Annotated[
        bool, typer.Option(help="Measure the written model and the C code on the validation mixtures.")
    ] = True,
    to_mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Also log the bundle to the trial's run in MLflow.")
    ] = False,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Export one trial as a bundle: what a firmware or FPGA team takes as it is.

    The folder holds config.json, weights.bin (every parameter at its width: the bytes that the memory objective
    counts) and weights.json, qkeras_model.keras, C99 code without floating point in c/, test vectors of every layer
    in vectors/, a project for FPGAs in hls4ml/, report.md and report.html, SHA256SUMS. `wordlength verify` checks all
    of it again.

    Examples:

        wordlength export klein --pick knee --to best

        wordlength export klein --pick max-bytes=120kB --to small --retrained
    """
    from wordlength.objectives.quiet import start_tensorflow
    from wordlength.search.export.bundle import export as run
    from wordlength.search.progress import LaunchDisplay

    place = home_of(home)
    start_tensorflow(place.find(study).workers.cpus, verbose)
    with LaunchDisplay(console) as display:
        done = run(
            study,
            pick,
            to,
            place,
            force=force,
            retrained=retrained,
            verify=verify,
            vectors=vectors,
            input_bits=input_bits,
            observer=display,
            tell=_say,
        )
    _tell_figures(done.config)
    _say(f"written: {done.folder}")
    if to_mlflow:
        from wordlength.search.export.bundle import log_to_mlflow

        _say(f"logged: {log_to_mlflow(done, place)}")


def _tell_figures(config: BundleConfig) -> None:
    """What was measured again."""
    logged, title = f"logged {config.objectives.quality:+.7f}", config.goal.title
    if config.quality_of_the_exported_model is not None:
        _say(f"the written model: {title} {config.quality_of_the_exported_model:+.7f}, {logged}")
    arithmetic = config.arithmetic
    if arithmetic is None:
        _say(f"no integers and no C: {config.no_arithmetic}")
        return
    last = arithmetic.layers[-1]
    _say(
        f"integers against float32, {arithmetic.vectors:,} test frames: {1 - last.unequal:.2%} of outputs equal, "
        f"the others at most {last.largest} apart, in steps of 2^{arithmetic.output_exponent}"
    )
    if arithmetic.quality is not None:
        _say(f"the C code: every test frame to the last bit, {title} {arithmetic.quality:+.7f}")
    else:
        _say("the C code was not run; wordlength verify does that where a C compiler is")
    for layer, why in arithmetic.no_hls4ml.items():
        _say(f"no hls4ml/: {layer}: {why}")


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder that `wordlength export` wrote.")],
    study: Annotated[
        Path | None,
        typer.Option(
            "--study", help="Study file that says where the corpora lie, where the study's data is not in the cache."
        ),
    ] = None,
    c: Annotated[bool, typer.Option(help="Compile and run the C code (with CC, or cc).")] = True,
    stoi: Annotated[bool, typer.Option(help="Measure the first objective; needs the study's data.")] = True,
    fpga: Annotated[
        bool, typer.Option(help="Compile and run hls4ml's C simulation, where hls4ml is installed.")
    ] = True,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Check everything that a bundle says: files, weights, model, integers, C code, hls4ml, STOI improvement.

    Exit status 2 and one line for the first thing that is not as it says.

    Examples:

        wordlength verify best

        wordlength verify best --no-stoi

        wordlength verify best --study examples/klein.yaml
    """
    from wordlength.search.export.verify import verify as run
    from wordlength.search.figures import verified_figures
    from wordlength.search.progress import LaunchDisplay

    with LaunchDisplay(console) as display:
        done = run(bundle, home_of(home), study=study, compile_c=c, stoi=stoi, fpga=fpga, progress=display.data)
    if json_file is not None:
        write_json(json_file, verified_figures(bundle, done))
    for line in done.checked:
        _say(f"ok: {line}")
    for line in done.left_out:
        _say(f"left out: {line}")
    for name in done.foreign:
        _say(f"not of the bundle: {name}")
    said = "verified" if not done.left_out else "verified, but for what is left out"
    _say(f"{said}: {done.config.study}, trial {done.config.trial} ({bundle})")


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

        wordlength import best/config.json klein
    """
    place = home_of(home)
    number = _queue(config, study, place, verbose)
    spec = place.find(study)
    _say(
        f"queued in {spec.name!r}: {number} waiting; the next launch tries it first: "
        f"wordlength launch {place.study(spec.name).study_file}, with --trials above what is finished"
    )


def _queue(config: Path, study: str, home: Home, verbose: bool) -> int:
    """Queue the file's candidate; how many are queued then. Raises SpecError if the study knows it already."""
    from wordlength.objectives.quiet import start_tensorflow
    from wordlength.search.launch import search_space
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.session import model_slots, open_baseline
    from wordlength.search.study import StudyStore

    spec = home.find(study)
    start_tensorflow(spec.workers.cpus, verbose)
    candidate = read_candidate(config, model_slots(spec, verbose))
    with closing(StudyStore.open(spec.name, home.optuna_address(spec))) as store:
        if store.knows(candidate.digest):
            numbers = ", ".join(str(row.number) for row in store.rows_of(candidate)) or "queued"
            raise SpecError(
                f"an imported candidate must be new to the study, but {spec.name!r} has it: trial {numbers} ({config})"
            )
        with LaunchDisplay(console) as display:
            _, baseline = open_baseline(spec, home, display, verbose)
        store.queue(candidate, "", search_space(spec, baseline))
        return store.queued


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
