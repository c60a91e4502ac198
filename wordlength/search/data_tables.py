"""What a study's corpora hold, as tables for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from wordlength.objectives.audio.survey import DataSurvey
from wordlength.search.table_style import NARROW


class Right(str):
    """A figure: flush right, on one line."""

    __slots__ = ()


Cell = str | Text
SNR = "SNR, dB:\nmixtures"


def corpus_table(survey: DataSurvey) -> Table:
    """A row per corpus and role: files, length, who and what is heard, levels, clipping, silence."""
    rows: list[list[Cell]] = [
        [
            Text(corpus.name),
            corpus.role,
            Right(f"{corpus.files:,}"),
            Right(f"{corpus.unusable:,}" if corpus.unusable else ""),
            Right(_length(corpus.seconds)),
            _by_sex(corpus.speakers),
            _count(corpus.noise_classes),
            Right("…".join(f"{level:.0f}" for level in (corpus.level_dbfs or ())[::2])),
            Right(_share(corpus.clipped_share)),
            Right(_share(corpus.silent_share)),
        ]
        for corpus in survey.corpora
    ]
    heads = {
        "corpus": "",
        "role": "",
        "files": "",
        "not\nused": "not used: empty, silent or unreadable",
        "length\nh:min:s": "",
        "speakers": "speakers: f female, m male" if _sexes(corpus.speakers for corpus in survey.corpora) else "",
        "noise\nclasses": "",
        "level\ndBFS": "level: softest…loudest file, root mean square in dB of full scale",
        "files\nclipped": "clipped: at full scale for three samples",
        "time\nsilent": "silent: 40 dB below the loudest frame of its file",
    }
    return _table("what the corpora hold", heads, rows)


def part_table(survey: DataSurvey) -> Table:
    """A row per part: mixtures, length, speakers, noises, levels, rooms."""
    rows: list[list[Cell]] = [
        [
            part.part,
            Right(f"{part.mixtures:,}"),
            Right(f"{part.given:,}" if part.given else ""),
            Right(_length(part.seconds)),
            _by_sex(part.speakers),
            _count(part.noise_classes),
            Right(f"{part.noise_recordings:,}"),
            ", ".join(f"{level}: {count:,}" for level, count in part.snr_db.items()),
            Right(f"{part.rooms:,}" if part.rooms else ""),
        ]
        for part in survey.parts
    ]
    heads = {
        "part": "",
        "mixtures": "",
        "as\ngiven": "as given: noisy files with their clean ones, not mixed here",
        "length\nh:min:s": "",
        "speakers": "",
        "noise\nclasses": "",
        "noise\nrecordings": "",
        SNR: "SNR: speech against noise, and how many mixtures have it",
        "rooms": "",
    }
    return _table("what the parts are made of", heads, rows)


def _table(title: str, heads: Mapping[str, str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table without the columns that have nothing in any row. `heads`: each column's, and what it means."""
    columns = dict(zip(heads, zip(*rows, strict=True), strict=True))
    shown = {head: cells for head, cells in columns.items() if any(str(cell) for cell in cells)}
    caption = "\n".join(heads[head] for head in shown if heads[head])
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", **NARROW)
    for head, cells in shown.items():
        is_number = any(isinstance(cell, Right) for cell in cells)
        can_wrap = head in ("corpus", "role", SNR)
        least = len("speech") if can_wrap else None
        table.add_column(
            head, justify="right" if is_number else "left", no_wrap=not can_wrap, min_width=least, overflow="fold"
        )
    for row in rows:
        table.add_row(*(cell for head, cell in zip(heads, row, strict=True) if head in shown))
    return table


def _sexes(speakers: Iterable[Mapping[str, int]]) -> bool:
    """Whether any column tells a sex."""
    return any(set(known) - {"unknown"} for known in speakers)


def _length(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{whole:02}"


def corpus_lines(survey: DataSurvey, width: int) -> str:
    """Per corpus its sampling rates, and of noise the classes with how many recordings each has; wrapped to `width`."""
    lines = []
    for corpus in survey.corpora:
        rates = [f"{rate} Hz" for rate in corpus.rates_hz]
        classes = [f"{name} {count:,}" for name, count in corpus.noise_classes.items()]
        line = f"{corpus.name}, {corpus.role}: {', '.join(rates)}"
        if classes:
            line += f"; recordings by class: {', '.join(classes)}"
        lines.append(textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False))
    return "\n".join(lines)


def _share(part: float) -> str:
    """In percent; nothing for nothing."""
    return f"{100 * part:.1f}%" if part else ""


def _by_sex(speakers: Mapping[str, int]) -> str:
    """`4 f, 6 m`; the sum where no sex is known."""
    total = sum(speakers.values())
    if not total or set(speakers) == {"unknown"}:
        return f"{total:,}" if total else ""
    return ", ".join(f"{count:,} {sex[0]}" for sex, count in speakers.items())


def _count(classes: Mapping[str, int]) -> Cell:
    return Right(f"{len(classes):,}" if classes else "")
