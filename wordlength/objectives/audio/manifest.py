"""A CSV manifest: one row per mixture, or per file of speech or noise, with paths relative to the CSV file.

| column      | what it holds                                                               | where empty           |
| clean       | the clean file                                                              | no speech             |
| noisy       | the noisy file that belongs to it                                           | `noise` is mixed      |
| noise       | a noise file                                                                | no noise              |
| snr_db      | signal-to-noise ratio in dB                                                 | measured              |
| speaker     | who speaks: never in two parts                                              | the clean file itself |
| sex         | female or male                                                              | unknown               |
| split       | train, validation or test                                                   | drawn                 |
| noise_class | as `babble`                                                                 | noise                 |
| recording   | what the noise was cut from: never in two parts                             | the noise file itself |
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio.listing import SPLIT_NAMES, Clip, class_name, found
from wordlength.objectives.audio.mixing import Mixture

COLUMNS = ("clean", "noisy", "noise", "snr_db", "speaker", "sex", "split", "noise_class", "recording")
"""Every column that is read; others are passed over, unless their name is nearly one of these."""
_SEXES = {"": "unknown", "unknown": "unknown", "f": "female", "female": "female", "m": "male", "male": "male"}


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: `cell` by column, and where errors say it stands."""

    table: Path
    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return (self.cells.get(column) or "").strip()

    @property
    def place(self) -> str:
        return f"{self.table}, line {self.line}"

    def file(self, column: str) -> Path:
        path = self.table.parent / self[column]
        if not path.is_file():
            raise DataError(f"files of a manifest must exist, but {column} {self[column]} does not ({self.place})")
        return path

    def one_of(self, column: str, names: dict[str, str]) -> str:
        if self[column].lower() not in names:
            known = ", ".join(dict.fromkeys(filter(None, names.values())))
            raise DataError(f"{column} must be one of {known} or empty, but got {self[column]!r} ({self.place})")
        return names[self[column].lower()]

    def snr_db(self) -> float | None:
        if not self["snr_db"]:
            return None
        try:
            level = float(self["snr_db"])
        except ValueError:
            level = math.nan
        if not -100 <= level <= 100:
            raise DataError(f"snr_db must be a number from -100 to 100, but got {self['snr_db']!r} ({self.place})")
        return level


def manifest_speech(table: Path) -> list[Clip]:
    """The files of the column `clean`, each once. Raises DataError."""
    return found(_once(_clean(row) for row in _rows(table) if row["clean"]), table, "a column clean with files")


def manifest_noise(table: Path) -> list[Clip]:
    """The files of the column `noise`, each once. Raises DataError."""
    return found(
        _once(_noise(row, "noise") for row in _rows(table) if row["noise"]), table, "a column noise with files"
    )


def manifest_pairs(table: Path) -> list[Mixture]:
    """A mixture per row: noisy and clean as they are, or clean and noise mixed at the row's level. Raises DataError."""
    return found([_mixture(row) for row in _rows(table)], table, "rows with the columns clean and noisy, or noise,")


def _mixture(row: _Row) -> Mixture:
    if not row["clean"] or not (row["noisy"] or row["noise"]):
        raise DataError(f"a mixture's row needs clean, and noisy or noise, but lacks them ({row.place})")
    level = row.snr_db()
    if row["noisy"]:
        return Mixture(_clean(row), _noise(row, "noisy"), level, seed=0, given=True)
    if level is None:
        raise DataError(f"clean and noise are mixed at a row's snr_db, but it has none ({row.place})")
    return Mixture(_clean(row), _noise(row, "noise"), level, seed=0)


def _clean(row: _Row) -> Clip:
    name, identity = _corpus(row.table), f"{row.table.stem}:{_name(row['clean'])}"
    speaker = f"{row.table.stem}:{row['speaker']}" if row["speaker"] else identity
    return Clip(row.file("clean"), name, speaker, identity, row.one_of("sex", _SEXES), _split(row))


def _noise(row: _Row, column: str) -> Clip:
    identity = f"{row.table.stem}:{row['recording'] or _name(row['noise'] or row[column])}"
    return Clip(row.file(column), _corpus(row.table), class_name(row["noise_class"]), identity, "", _split(row))


def _split(row: _Row) -> str:
    return row.one_of("split", {"": "", **SPLIT_NAMES})


def _corpus(table: Path) -> str:
    return f"manifest:{table.stem}"


def _name(cell: str) -> str:
    """A path as the manifest writes it; of an absolute one the last two parts, for places may change."""
    path = Path(cell)
    return "/".join(path.parts[-2:]) if path.is_absolute() else path.as_posix()


def _once(clips: Iterator[Clip]) -> list[Clip]:
    """Each file once, sorted by source and path; a file with two speakers or parts is refused when split."""
    return sorted(set(clips), key=lambda clip: (clip.source, str(clip.path), clip.split))


def _rows(table: Path) -> Iterator[_Row]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            _check_columns(table, list(reader.fieldnames or ()))
            for cells in reader:
                yield _Row(table, reader.line_num, {key: cell for key, cell in cells.items() if isinstance(cell, str)})
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"a manifest must be a CSV file in UTF-8, but {error} ({table})") from None


def _check_columns(table: Path, names: list[str]) -> None:
    for name in names:
        near = get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.8)
        if name not in COLUMNS and near:
            raise DataError(f"a manifest's column is called {near[0]}, but got {name!r} ({table})")
    if not {"clean", "noise"} & set(names):
        raise DataError(f"a manifest needs a column clean or noise, but has {', '.join(names) or 'none'} ({table})")
