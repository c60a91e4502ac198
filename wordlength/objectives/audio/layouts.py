"""The folder layouts of speech and noise corpora, read into clips; errors name the layout that was expected."""

from __future__ import annotations

import re
from pathlib import Path

from wordlength.objectives.audio.listing import (
    Clip,
    audio_files,
    class_name,
    first_file,
    found,
    rows,
    some_listed,
    top_folder,
    with_children,
)

_DIALECT_FOLDER = re.compile(r"dr[1-8]", re.IGNORECASE)
_SPEAKER_FOLDER = re.compile(r"(?P<sex>[fm])[a-z]{2,3}\d", re.IGNORECASE)
_SAMPLE_FOLDER = re.compile(r"dr[1-8]-(?P<speaker>[fm][a-z]{2,3}\d)", re.IGNORECASE)
_ESC_CLASS_FOLDER = re.compile(r"\d{3} - (?P<name>.+)")
_ESC_FILE = re.compile(r"\d-(?P<freesound>\d+)-[A-Z](-\d+)?\.(wav|ogg|flac)", re.IGNORECASE)
_SEXES = {"f": "female", "m": "male"}


def timit(root: Path) -> list[Clip]:
    """TIMIT in its original tree or as the NLTK sample, in any letter case; the speaker folder tells the sex."""
    utterances: dict[tuple[str, str], Clip] = {}
    for file in audio_files(root):
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
    return found(
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
            group=f"{name}:{top_folder(root, file) or file.stem}",
            source=f"{name}:{file.relative_to(root).as_posix()}",
            label="unknown",
        )
        for file in audio_files(root)
    ]
    return found(clips, root, "audio files, or one folder of audio files per speaker")


def folder_noise(root: Path) -> list[Clip]:
    """Any tree of audio files: the top-level folder is the noise class, every file a recording of its own."""
    name = root.resolve().name  # "." has no name of its own
    clips = [
        Clip(
            path=file,
            corpus=f"folder:{name}",
            group=class_name(top_folder(root, file) or "noise"),
            source=f"{name}:{file.relative_to(root).as_posix()}",
            label=top_folder(root, file) or "",
        )
        for file in audio_files(root)
    ]
    return found(clips, root, "audio files, or one folder of audio files per noise class")


def urbansound(root: Path) -> list[Clip]:
    """UrbanSound8K: the metadata table and audio/fold1 to fold10; small copies may lack files of the table."""
    layout = "metadata/UrbanSound8K.csv and audio/fold1/101415-3-0-2.wav"
    table = first_file(root, "metadata/UrbanSound8K.csv", layout)
    expected = {
        table.parent.parent / "audio" / f"fold{row['fold']}" / row["slice_file_name"]: row
        for row in rows(table, ("slice_file_name", "fsID", "fold", "class"))
    }
    clips = [
        Clip(
            path=file,
            corpus="urbansound8k",
            group=class_name(row["class"]),
            source=f"freesound:{row['fsID']}",
            label=f"fold{row['fold']}",
        )
        for file, row in sorted(expected.items())
        if file.is_file()
    ]
    return some_listed(clips, expected, table)


def esc(root: Path) -> list[Clip]:
    """ESC-50 with its table, or ESC-10 (the first release) with a folder per class."""
    layout = "ESC-50's meta/esc50.csv and audio/1-100032-A-0.wav or ESC-10's '001 - Dog bark/1-30226-A.ogg'"
    tables = [folder / "meta" / "esc50.csv" for folder in with_children(root)]
    for table in tables:
        if table.is_file():
            return _esc50(table)
    clips = []
    for file in audio_files(root):
        name, folder = _ESC_FILE.fullmatch(file.name), _ESC_CLASS_FOLDER.fullmatch(file.parent.name)
        if name and folder:
            group = class_name(folder["name"])
            clips.append(Clip(file, "esc", group, f"freesound:{name['freesound']}", file.parent.name))
    return found(clips, root, layout)


def _esc50(table: Path) -> list[Clip]:
    expected = {
        table.parent.parent / "audio" / row["filename"]: row
        for row in rows(table, ("filename", "fold", "category", "src_file"))
    }
    clips = [
        Clip(file, "esc", class_name(row["category"]), f"freesound:{row['src_file']}", f"fold{row['fold']}")
        for file, row in sorted(expected.items())
        if file.is_file()
    ]
    return some_listed(clips, expected, table)
