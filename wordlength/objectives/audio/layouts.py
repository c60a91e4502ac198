"""The folder layouts of speech and noise corpora, read into clips; errors name the layout that was expected."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio.files import AUDIO_SUFFIXES

_DIALECT_FOLDER = re.compile(r"dr[1-8]", re.IGNORECASE)
_SPEAKER_FOLDER = re.compile(r"(?P<sex>[fm])[a-z]{2,3}\d", re.IGNORECASE)
_SAMPLE_FOLDER = re.compile(r"dr[1-8]-(?P<speaker>[fm][a-z]{2,3}\d)", re.IGNORECASE)
_ESC_CLASS_FOLDER = re.compile(r"\d{3} - (?P<name>.+)")
_ESC_FILE = re.compile(r"\d-(?P<freesound>\d+)-[A-Z](-\d+)?\.(wav|ogg|flac)", re.IGNORECASE)
_SEXES = {"f": "female", "m": "male"}


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file and what must be known of it to split and mix fairly.

    | field  | speech                          | noise                                                    |
    | group  | speaker, e.g. `timit:fvmh0`     | class, e.g. `siren`                                      |
    | source | utterance, unique               | recording, e.g. `freesound:101415`; clips may share one  |
    | label  | `female`, `male` or `unknown`   | folder inside the corpus, e.g. `fold1`                   |
    """

    path: Path
    corpus: str
    group: str
    source: str
    label: str


def timit(root: Path) -> list[Clip]:
    """TIMIT in its original tree or as the NLTK sample, in any letter case; the speaker folder tells the sex."""
    utterances: dict[tuple[str, str], Clip] = {}
    for file in _audio_files(root):
        speaker = _timit_speaker(file.parent)
        if speaker is None:
            continue
        name = file.name.split(".")[0].lower()
        # Some copies hold both SA1.WAV (SPHERE) and SA1.WAV.wav (RIFF): one utterance, the later name stays.
        utterances[speaker, name] = Clip(
            path=file,
            corpus="timit",
            group=f"timit:{speaker}",
            source=f"timit:{speaker}/{name}",
            label=_SEXES[speaker[0]],
        )
    return _found(
        [utterances[key] for key in sorted(utterances)],
        root,
        "TIMIT's TRAIN/DR1/FCJF0/SA1.WAV or the NLTK sample's dr1-fvmh0/sa1.wav",
    )


def _timit_speaker(folder: Path) -> str | None:
    if match := _SAMPLE_FOLDER.fullmatch(folder.name):
        return match["speaker"].lower()
    if _SPEAKER_FOLDER.fullmatch(folder.name) and _DIALECT_FOLDER.fullmatch(folder.parent.name):
        return folder.name.lower()
    return None


def folder_speech(root: Path) -> list[Clip]:
    """Any tree of audio files: the top-level folder is the speaker, or the file itself where there is none."""
    name = root.resolve().name  # "." has no name of its own
    clips = [
        Clip(
            path=file,
            corpus=f"folder:{name}",
            group=f"{name}:{_top_folder(root, file) or file.stem}",
            source=f"{name}:{file.relative_to(root).as_posix()}",
            label="unknown",
        )
        for file in _audio_files(root)
    ]
    return _found(clips, root, "audio files, or one folder of audio files per speaker")


def folder_noise(root: Path) -> list[Clip]:
    """Any tree of audio files: the top-level folder is the noise class, every file a recording of its own."""
    name = root.resolve().name  # "." has no name of its own
    clips = [
        Clip(
            path=file,
            corpus=f"folder:{name}",
            group=_class_name(_top_folder(root, file) or "noise"),
            source=f"{name}:{file.relative_to(root).as_posix()}",
            label=_top_folder(root, file) or "",
        )
        for file in _audio_files(root)
    ]
    return _found(clips, root, "audio files, or one folder of audio files per noise class")


def urbansound(root: Path) -> list[Clip]:
    """UrbanSound8K: the metadata table and audio/fold1 to fold10; small copies may lack files of the table."""
    layout = "metadata/UrbanSound8K.csv and audio/fold1/101415-3-0-2.wav"
    table = _first_file(root, "metadata/UrbanSound8K.csv", layout)
    expected = {
        table.parent.parent / "audio" / f"fold{row['fold']}" / row["slice_file_name"]: row
        for row in _rows(table, ("slice_file_name", "fsID", "fold", "class"))
    }
    clips = [
        Clip(
            path=file,
            corpus="urbansound8k",
            group=_class_name(row["class"]),
            source=f"freesound:{row['fsID']}",
            label=f"fold{row['fold']}",
        )
        for file, row in sorted(expected.items())
        if file.is_file()
    ]
    return _some_listed(clips, expected, table)


def esc(root: Path) -> list[Clip]:
    """ESC-50 with its table, or ESC-10 (the first release) with a folder per class."""
    layout = "ESC-50's meta/esc50.csv and audio/1-100032-A-0.wav or ESC-10's '001 - Dog bark/1-30226-A.ogg'"
    tables = [folder / "meta" / "esc50.csv" for folder in _with_children(root)]
    for table in tables:
        if table.is_file():
            return _esc50(table)
    clips = []
    for file in _audio_files(root):
        name, folder = _ESC_FILE.fullmatch(file.name), _ESC_CLASS_FOLDER.fullmatch(file.parent.name)
        if name and folder:
            group = _class_name(folder["name"])
            clips.append(Clip(file, "esc", group, f"freesound:{name['freesound']}", file.parent.name))
    return _found(clips, root, layout)


def _esc50(table: Path) -> list[Clip]:
    expected = {
        table.parent.parent / "audio" / row["filename"]: row
        for row in _rows(table, ("filename", "fold", "category", "src_file"))
    }
    clips = [
        Clip(file, "esc", _class_name(row["category"]), f"freesound:{row['src_file']}", f"fold{row['fold']}")
        for file, row in sorted(expected.items())
        if file.is_file()
    ]
    return _some_listed(clips, expected, table)


def _audio_files(root: Path) -> list[Path]:
    """All audio files below `root`, hidden ones left out, sorted by their relative names."""
    files = (file for file in root.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
    visible = (file for file in files if not any(part.startswith(".") for part in file.relative_to(root).parts))
    return sorted(visible, key=lambda file: file.relative_to(root).as_posix())


def _top_folder(root: Path, file: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _with_children(root: Path) -> Iterator[Path]:
    """The folder itself, then its subfolders: people point at a corpus or at the folder that holds it."""
    yield root
    yield from sorted(child for child in root.iterdir() if child.is_dir())


def _first_file(root: Path, relative: str, layout: str) -> Path:
    for folder in _with_children(root):
        if (folder / relative).is_file():
            return folder / relative
    raise DataError(f"the corpus must hold {layout}, but {relative} was not found ({root})")


def _rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"the table must have columns {', '.join(columns)}, but lacks {', '.join(missing)} ({table})"
            )
        return list(reader)


def _found(clips: list[Clip], root: Path, layout: str) -> list[Clip]:
    if not clips:
        raise DataError(f"the corpus must hold {layout}, but no such file was found ({root})")
    return clips


def _some_listed(clips: list[Clip], expected: Iterable[Path], table: Path) -> list[Clip]:
    """Small copies keep the full table, so a missing file is skipped; if all are missing, something is wrong."""
    if not clips:
        first = next(iter(expected), None)
        found = f"none exists, e.g. {first}" if first else "it lists none"
        raise DataError(f"files listed in the table must exist, but {found} ({table})")
    return clips


def _class_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "noise"
