"""Launches on a Ray cluster: submit, job status, job logs, job stop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.search.cli.asked import is_study_file
from wordlength.search.cli.common import (
    JsonFile,
    Study,
    StudyFile,
    Trials,
    Workers,
    app,
    note,
    read_spec,
    say,
    write_json,
)
from wordlength.search.cli.loudness import CommandLine

if TYPE_CHECKING:
    from wordlength.search.submit import ClusterJob, ClusterJobs

job = CommandLine(no_args_is_help=True, help="A submitted launch: its **status**, its **logs**, **stop** it.")
app.add_typer(job, name="job")

Address = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        help="The cluster's dashboard, as http://head:8265.",
        envvar="RAY_API_SERVER_ADDRESS",
    ),
]
ClusterHome = Annotated[
    str,
    typer.Option(
        "--cluster-home", metavar="FOLDER", help="Folder on the cluster's head that keeps studies and caches."
    ),
]
ClusterData = Annotated[
    str | None,
    typer.Option("--cluster-data", metavar="FOLDER", help="Folder on the cluster's head that corpus paths start from."),
]
_LOOK_SECONDS = 2.0


@app.command()
def submit(
    study_file: StudyFile,
    address: Address,
    trials: Trials = None,
    workers: Workers = None,
    cluster_home: ClusterHome = "~/.wordlength",
    cluster_data: ClusterData = None,
    wait: Annotated[bool, typer.Option("--wait", help="Print what the launch prints, until it ends.")] = False,
) -> None:
    """Hand a launch to a Ray cluster, where it goes on without this machine.

    The study file and this package's sources go along; corpora must lie on the cluster's head. Submit the study again
    to go on with it.

    Examples:

        wordlength submit examples/demo.yaml --address http://head:8265

        wordlength job logs demo --address http://head:8265
    """
    spec = read_spec(study_file, {"trials": trials, "count": workers})
    from wordlength.search.submit import ClusterJobs, places

    asked = {"--trials": trials, "--workers": workers}
    options = tuple(f"{name} {value}" for name, value in asked.items() if value is not None)
    jobs = ClusterJobs(address)
    begun = jobs.submit(spec, options, places(cluster_home, cluster_data))
    _tell(begun)
    if not wait:
        note(f"what it prints: wordlength job logs {spec.name} --address {address}")
        return
    known = _followed(jobs, spec.name)
    _tell(known)
    raise typer.Exit(0 if known.state == "SUCCEEDED" else 1)


def _followed(jobs: ClusterJobs, study: str) -> ClusterJob:
    """The study's last launch once it has ended; what it prints is printed meanwhile."""
    printed = 0
    while True:
        known, text = jobs.newest(study), jobs.logs(study)
        print(text[printed:], end="", flush=True)
        printed = len(text)
        if known.ended:
            return known
        time.sleep(_LOOK_SECONDS)


@job.command()
def status(study: Study, address: Address, json_file: JsonFile = None) -> None:
    """Whether the study's last launch runs, has ended or has failed.

    Example:

        wordlength job status demo --address http://head:8265
    """
    from wordlength.search.submit import ClusterJobs

    known = ClusterJobs(address).newest(_name(study))
    if json_file is not None:
        write_json(json_file, {"study": _name(study), "job": known})
    _tell(known)


@job.command()
def logs(study: Study, address: Address) -> None:
    """What the study's last launch has printed so far.

    Example:

        wordlength job logs demo --address http://head:8265
    """
    from wordlength.search.submit import ClusterJobs

    print(ClusterJobs(address).logs(_name(study)), end="")


@job.command()
def stop(study: Study, address: Address) -> None:
    """Stop the study's launch; its running trials are queued again, and submitting it again goes on.

    Example:

        wordlength job stop demo --address http://head:8265
    """
    from wordlength.search.submit import ClusterJobs

    _tell(ClusterJobs(address).stop(_name(study)))


def _name(study: str) -> str:
    """A study's name, or that of a study file."""
    return read_spec(Path(study)).name if is_study_file(study) else study


def _tell(known: ClusterJob) -> None:
    text = f"{known.id}: {known.state.lower()}" + (f", {known.message}" if known.message else "")
    say(text)
