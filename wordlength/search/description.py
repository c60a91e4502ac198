"""What a launch tells MLflow about its study: settings, data sets, versions, commits, the study file."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import wordlength
from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.goals import goals_of
from wordlength.objectives.goals.meter import float_values
from wordlength.search.front import FloatPoint
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.tracking import DataSet, Description
from wordlength.space import Format, Role, SearchSpace, SlotRange
from wordlength.version import VERSION

_GIT_SECONDS = 10
_DIGEST_CHARACTERS = 12
_CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}


def describe(spec: StudySpec, data: PreparedData, baseline: Baseline, space: SearchSpace, identity: str) -> Description:
    """The study as its parent run tells it; `identity` tells it from others of its name."""
    return Description(
        baseline=float_point(spec, baseline),
        slots=baseline.slots,
        searched=space.searched,
        precision_limit=spec.analysis.precision_limit,
        params=_params(spec, data),
        tags=_tags(spec, data, baseline, identity),
        metrics=_metrics(spec, data, baseline),
        files=_files(spec),
        data=_data_sets(data),
        settings=_settings(spec, data, baseline),
    )


def float_point(spec: StudySpec, baseline: Baseline) -> FloatPoint:
    """The float model in every goal of the study, and its network."""
    values = float_values(spec.objectives, baseline)
    return FloatPoint(values, baseline.memory_bytes, goals_of(spec.objectives), spec.model.label)


def _metrics(spec: StudySpec, data: PreparedData, baseline: Baseline) -> dict[str, float]:
    reached = {f"baseline_{name}": value for name, value in float_values(spec.objectives, baseline).items()}
    return reached | {
        f"baseline_{baseline.goal.error_name}": baseline.standard_error,
        "baseline_memory_bytes": float(baseline.memory_bytes),
        **data.validation.noisy_scores,
    }


def _params(spec: StudySpec, data: PreparedData) -> dict[str, str]:
    parts: dict[str, dict[str, Any]] = {
        "model": spec.model.described,
        "training": dataclasses.asdict(spec.training),
        "analysis": dataclasses.asdict(spec.analysis),
        "gate": dataclasses.asdict(spec.gate),
    }
    params = {f"{part}.{name}": str(value) for part, values in parts.items() for name, value in values.items()}
    if spec.baseline is not None:
        params |= {f"baseline.{name}": str(value) for name, value in spec.baseline.described.items()}
    params |= {f"search.{name}": str(value) for name, value in spec.search.model_dump(exclude={"uniform"}).items()}
    return params | {f"data.{name}": str(value) for name, value in data.summary.items()}


def _tags(spec: StudySpec, data: PreparedData, baseline: Baseline, identity: str) -> dict[str, str]:
    commits = {
        "wordlength.commit": git_commit(Path(wordlength.__file__)),
        "mlflow.source.git.commit": git_commit(spec.origin.path) if spec.origin.path else None,
    }
    return {
        "study.id": identity,
        "data.digest": data.digest,
        "baseline.digest": baseline.digest,
        "wordlength.version": VERSION,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:2]])
        + (f" {spec.origin.path.name}" if spec.origin.path else ""),
    } | {name: commit for name, commit in commits.items() if commit}


def git_commit(path: Path) -> str | None:
    """The commit of the git checkout that holds this file, "-dirty" behind it if tracked files differ from it.

    "-unknown" behind it if git does not tell whether they do. None for a file that git does not track, or without git.
    """

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(path.parent), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if git("ls-files", "--error-unmatch", path.name) is None or not (commit := git("rev-parse", "HEAD")):
        return None
    changed = git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return commit + ("-unknown" if changed is None else "-dirty" if changed else "")


def _files(spec: StudySpec) -> dict[str, str]:
    """The study file to the letter, but for passwords, and with every default written out."""
    files = {"study.resolved.yaml": spec.published()}
    return files | ({"study.yaml": _without_logins(spec)} if spec.origin.text else {})


def _without_logins(spec: StudySpec) -> str:
    """The study file's text; of storage addresses that may hold a login or a key, only the scheme."""
    plain = yaml.safe_load(spec.origin.text)
    text = spec.origin.text
    if isinstance(plain.get("model"), dict) and "source" in plain["model"]:
        return spec.published()  # A copy that a cluster was given; the user's code is not for others.
    for address in (plain.get("storage") or {}).values():
        if isinstance(address, str) and ("@" in address or "?" in address):
            if address not in text:  # Written with escapes: then without the user's own comments.
                return spec.published()
            text = text.replace(address, address.partition("://")[0] + "://***")
    return text


def _data_sets(data: PreparedData) -> list[DataSet]:
    source = _mixture(data.summary)
    return [
        DataSet(
            name=f"{source}, {context}",
            digest=data.digest[:_DIGEST_CHARACTERS],
            source=source,
            context=context,
            profile=_profile(data.summary[part]),
        )
        for part, context in _CONTEXTS.items()
    ]


def _profile(part: Mapping[str, Any]) -> dict[str, Any]:
    """Hours and speakers first, then the rest of the summary."""
    speakers = part["speakers"]
    rest = {name: value for name, value in part.items() if name not in ("seconds", "speakers")}
    return {"hours": round(part["seconds"] / 3600, 4), "speakers": len(speakers), "speaker_names": speakers} | rest


def _mixture(summary: Mapping[str, Any]) -> str:
    """The corpora and how they come together."""
    speech, noise, pairs, rooms = (
        " + ".join(summary[f"{name}_corpora"]) for name in ("speech", "noise", "pair", "room")
    )
    levels = ", ".join(f"{level:g}" for level in summary["snr_db"])
    mixed = f"{speech} in {noise} noise at {levels} dB SNR{f' in rooms of {rooms}' if rooms else ''}"
    return " and ".join(part for part in (mixed if noise else "", f"pairs of {pairs}" if pairs else "") if part)


def _settings(spec: StudySpec, data: PreparedData, baseline: Baseline) -> dict[str, str]:
    """The lines that one looks for first; all the others are the run's params and its study file."""
    parts = data.summary
    amounts = ", ".join(
        f"{context} {parts[part]['seconds'] / 60:.1f} min of {len(parts[part]['speakers'])} speakers"
        for part, context in _CONTEXTS.items()
    )
    count = baseline.memory_bytes // 4
    training = spec.training
    return {
        "data": f"{_mixture(parts)}: {amounts}",
        "network": f"{spec.model.label}, {count:,} parameters",
        "formats": "; ".join(f"{role} {_choice(getattr(spec.space, role))}" for role in Role)
        + ("; some layers have their own" if spec.space.layers else ""),
        "training": f"{training.step_one_epochs} + {training.step_two_epochs} epochs on {spec.data.subset_fraction:.0%}"
        " of the training mixtures",
        "search": f"{spec.search.sampler}, {spec.search.trials} trials, {len(spec.search.uniform)} references, "
        f"seed {spec.seed}",
        "wordlength": VERSION,
    }


def _choice(choice: SlotRange | Format) -> str:
    """What a role may be: "`fixed` 2 to 8 bits or `po2` 2 to 5 bits", or the format it has."""
    if isinstance(choice, Format):
        return f"`{choice}`"
    ranges = ((kind, limits.widths) for kind, limits in choice.kinds.items())
    return " or ".join(f"`{kind}`" + (f" {w[0]} to {w[-1]} bits" if len(w) > 1 else "") for kind, w in ranges)
