"""What a study's corpora hold, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from wordlength.objectives.audio.survey import DataSurvey

_MOST_NAMES = 3


def corpus_table(survey: DataSurvey) -> Table:
    """A row per corpus and role: files, length, who and what is heard, levels, clipping, silence."""
    table = Table(title="what the corpora hold", box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in ("corpus", "role"):
        table.add_column(name)
    for name in ("files", "unusable", "h:mm:ss"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("speakers", "noise classes", "Hz"):
        table.add_column(name)
    for name in ("dBFS", "clipped", "silence"):
        table.add_column(name, justify="right", no_wrap=True)
    for corpus in survey.corpora:
        table.add_row(
            Text(corpus.name),
            corpus.role,
            f"{corpus.files:,}",
            f"{corpus.unusable:,}" if corpus.unusable else "",
            _length(corpus.seconds),
            _by_sex(corpus.speakers),
            _names(corpus.noise_classes),
            ", ".join(str(rate) for rate in corpus.rates_hz),
            " / ".join(f"{level:.0f}" for level in corpus.level_dbfs or ()),
            f"{100 * corpus.clipped_share:.1f} %",
            f"{100 * corpus.silent_share:.1f} %",
        )
    return table


def part_table(survey: DataSurvey) -> Table:
    """A row per part: mixtures, length, speakers, noises, levels, rooms."""
    table = Table(title="what the parts are made of", box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("part")
    for name in ("mixtures", "given", "h:mm:ss"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("speakers", "noise classes"):
        table.add_column(name)
    table.add_column("recordings", justify="right", no_wrap=True)
    table.add_column("dB: mixtures")
    table.add_column("rooms", justify="right", no_wrap=True)
    for part in survey.parts:
        table.add_row(
            part.part,
            f"{part.mixtures:,}",
            f"{part.given:,}" if part.given else "",
            _length(part.seconds),
            _by_sex(part.speakers),
            _names(part.noise_classes),
            f"{part.noise_recordings:,}",
            ", ".join(f"{level}: {count:,}" for level, count in part.snr_db.items()),
            f"{part.rooms:,}" if part.rooms else "",
        )
    return table


def _length(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{whole:02}"


def _by_sex(speakers: Mapping[str, int]) -> str:
    """`10 (4 female, 6 male)`; only the sum where no sex is known."""
    total = sum(speakers.values())
    if not total or set(speakers) == {"unknown"}:
        return f"{total:,}" if total else ""
    return f"{total:,} ({', '.join(f'{count:,} {sex}' for sex, count in speakers.items())})"


def _names(classes: Mapping[str, int]) -> Text:
    """How many there are, and the first few; as Text, for a name may hold square brackets."""
    first = list(classes)[:_MOST_NAMES]
    more = ", …" if len(classes) > len(first) else ""
    return Text(f"{len(classes)} ({', '.join(first)}{more})" if classes else "")
