"""The DNS-Challenge (Reddy et al. 2020): its corpora of speech and noise, and sets that its script has synthesised."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio.listing import Clip, audio_files, class_name, found
from wordlength.objectives.audio.mixing import Mixture

_CORPORA = {"clean": re.compile(r"clean(_fullband)?"), "noise": re.compile(r"noise(_fullband)?")}
_FILE_ID = re.compile(r".*fileid_(?P<id>\d+)")
_LEVEL = re.compile(r"(?P<sources>.+)_snr(?P<snr>-?\d+)_tl-?\d+_fileid_\d+")
_READER = re.compile(r"book_\d+_chp_\d+_reader_(?P<reader>\d+)_\d+(_seg_?\d+)?")
# Where a speaker has a folder: VCTK's p225, VocalSet's female1, CREMA-D's 1001_DFA_ANG_XX.wav.
_SPEAKER_FOLDER = re.compile(r"p\d{3}|s5|(fe)?male\d+", re.IGNORECASE)
_ACTOR_FILE = re.compile(r"(?P<actor>1\d{3})_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}")
_FREESOUND = re.compile(r"(?P<kind>.+?)_Freesound_(validated_)?(?P<id>\d+)_\d+", re.IGNORECASE)
_TEST_FOLDER = re.compile(r"((dev|blind)_?)?test_?set(_fullband)?", re.IGNORECASE)


def dns_speech(root: Path) -> list[Clip]:
    """The files below clean_fullband (or clean): LibriVox readers, VCTK and other speakers by folder or name.

    A file that names no speaker counts as a speaker of its own.
    """
    layout = "the DNS-Challenge's clean_fullband/read_speech/book_00000_chp_0009_reader_06709_0.wav"
    clips = [
        Clip(file, "dns", f"dns:{_speaker(name)}", f"dns:{name}", _sex(name))
        for name, file in _below(root, "clean")
        if not _FILE_ID.fullmatch(file.stem)
    ]
    return found(clips, root, layout)


def dns_noise(root: Path) -> list[Clip]:
    """The files below noise_fullband (or noise): Freesound's have their class in the name, AudioSet's have none."""
    layout = "the DNS-Challenge's noise_fullband/door_Freesound_validated_381380_0.wav"
    clips = [
        Clip(file, "dns", *_kind_and_recording(file.stem), "")
        for _, file in _below(root, "noise")
        if not _FILE_ID.fullmatch(file.stem)
    ]
    return found(clips, root, layout)


def dns_pairs(root: Path) -> list[Mixture]:
    """noisy/…_snr5_tl-18_fileid_19.wav with clean/clean_fileid_19.wav beside it; noise/ is not needed.

    What lies below a folder such as test_set is the test part. Speaker, noise and level are read from the noisy
    file's name as far as it tells them; it cuts long ones. Raises DataError for a noisy file without a clean one.
    """
    layout = "the DNS-Challenge's noisy/…_snr5_tl-18_fileid_19.wav beside clean/clean_fileid_19.wav"
    files = [file for file in audio_files(root) if _FILE_ID.fullmatch(file.stem)]
    clean = {(file.parent.parent, _file_id(file)): file for file in files if file.parent.name == "clean"}
    pairs = []
    for file in (file for file in files if file.parent.name == "noisy"):
        key = (file.parent.parent, _file_id(file))
        if key not in clean:
            raise DataError(f"noisy files need a clean one, but clean_fileid_{key[1]}.wav is not in clean ({file})")
        pairs.append(_pair(root, file, clean[key]))
    return found(pairs, root, layout)


def _pair(root: Path, noisy: Path, clean: Path) -> Mixture:
    split = "test" if any(_TEST_FOLDER.fullmatch(part) for part in noisy.relative_to(root).parts) else ""
    name = clean.relative_to(root).with_suffix("").as_posix()
    told = _LEVEL.fullmatch(noisy.stem)
    sources = told["sources"] if told else ""
    reader, noise = _reader_and_noise(sources)
    kind, recording = _kind_and_recording(noise) if noise else ("noise", f"dns:{name}/noise")
    return Mixture(
        Clip(clean, "dns", f"dns:{reader}" if reader else f"dns:{name}", f"dns:{name}", "unknown", split),
        Clip(noisy, "dns", kind, recording, "", split),
        float(told["snr"]) if told else None,
        seed=0,
        given=True,
    )


def _reader_and_noise(sources: str) -> tuple[str, str]:
    """The reader of the name's first clip, and what follows the clips: `clip-clip_noise`."""
    first = _READER.match(sources)
    if first is None:
        return "", ""
    end = first.end()
    while (more := _READER.match(sources, end + 1)) and sources[end] == "-":
        end = more.end()
    return f"reader_{first['reader']}", sources[end + 1 :] if sources[end : end + 1] == "_" else ""


def _below(root: Path, which: str) -> Iterable[tuple[str, Path]]:
    """Files below the corpus folder, with their names from there on; a folder that is the corpus has another name."""
    files = audio_files(root)
    known = [(file, index) for file in files for index in [_corpus_depth(root, file, _CORPORA[which])] if index]
    if known:
        return [("/".join(file.relative_to(root).parts[index:]), file) for file, index in known]
    other = _CORPORA["noise" if which == "clean" else "clean"]
    if any(_corpus_depth(root, file, other) for file in files):
        return []
    return [(file.relative_to(root).as_posix(), file) for file in files]


def _corpus_depth(root: Path, file: Path, pattern: re.Pattern[str]) -> int:
    """How many folders down from `root` the corpus folder ends; 0 where the file is in none."""
    folders = file.relative_to(root).parts[:-1]
    return next((depth for depth, folder in enumerate(folders, 1) if pattern.fullmatch(folder)), 0)


def _speaker(name: str) -> str:
    *folders, file = Path(name).with_suffix("").parts
    if match := _READER.match(file):
        return f"reader_{match['reader']}"
    if match := _ACTOR_FILE.fullmatch(file):
        return f"actor_{match['actor']}"
    folder = next((folder for folder in reversed(folders) if _SPEAKER_FOLDER.fullmatch(folder)), None)
    return folder.lower() if folder else name


def _sex(name: str) -> str:
    """VocalSet's folders tell it: female1, male3."""
    match = re.search(r"/((?:fe)?male)\d+/", f"/{name.lower()}")
    return match[1] if match else "unknown"


def _kind_and_recording(stem: str) -> tuple[str, str]:
    if match := _FREESOUND.fullmatch(stem):
        return class_name(match["kind"]), f"freesound:{match['id']}"
    return "audioset", f"audioset:{stem}"


def _file_id(file: Path) -> int:
    match = _FILE_ID.fullmatch(file.stem)
    assert match is not None
    return int(match["id"])
