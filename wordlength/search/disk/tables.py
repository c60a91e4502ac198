"""What lies on disk as tables for the terminal, and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from wordlength.search.disk.contents import Disk
from wordlength.search.disk.item import Item, Kind
from wordlength.search.table_style import SPACED

_DIGEST_CHARACTERS = 16


def disk_tables(disk: Disk, root: Path) -> Iterator[Table | str]:
    """Studies, caches, orphans, databases, then how each is removed."""
    for title, items in (
        (f"studies in {root}", disk.studies),
        ("caches, made again when needed", disk.caches),
        ("what belongs to nothing any more", disk.orphans),
    ):
        if items:
            yield items_table(title, items)
    for path, size in disk.databases:
        yield f"{path.name}: {size_text(size)}, of all studies"
    yield _advice(disk, root)


def items_table(title: str, items: Sequence[Item]) -> Table:
    """A row per thing: what it is, who uses it, when it was written last, its size; then their sum."""
    table = Table(title=title, **SPACED)
    for name, justify in (
        ("what", "left"),
        ("name", "left"),
        ("size", "right"),
        ("last written", "left"),
        ("", "left"),
    ):
        # What may be long folds, and nothing else is cut for it.
        table.add_column(name, justify=justify, no_wrap=name not in ("name", ""), overflow="fold")  # type: ignore[arg-type]
    for item in items:
        used = item.used.strftime("%Y-%m-%d %H:%M") if item.used else ""
        size = size_text(item.size_bytes) if item.paths else ""
        table.add_row(item.kind.value, _name(item), size, used, Text(_remark(item)))
    if len(items) > 1:
        table.add_section()
        table.add_row("together", "", size_text(sum(item.size_bytes for item in items)))
    return table


def disk_figures(disk: Disk, root: Path) -> dict[str, Any]:
    """JSON-able: all of it, in bytes."""
    parts = {"studies": disk.studies, "caches": disk.caches, "orphans": disk.orphans}
    plain: dict[str, Any] = {name: [item.to_json(root) for item in items] for name, items in parts.items()}
    return plain | {"databases": {os.path.relpath(path, root): size for path, size in disk.databases}}


def size_text(size: int) -> str:
    """Bytes as people read them: 1 MB = 1,000,000 bytes."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.3g} {unit}"


def _name(item: Item) -> str:
    """As the table shows it: of digests and MLflow's ids the beginning."""
    if item.kind in (Kind.BASELINE, Kind.DATA):
        return item.name[:_DIGEST_CHARACTERS]
    study, slash, run = item.name.rpartition("/")
    return f"{study}/{run[:_DIGEST_CHARACTERS]}" if slash and item.kind is Kind.ARTIFACTS else item.name


def _remark(item: Item) -> str:
    users = f"used by {', '.join(item.users)}" if item.users else "used by no study" if item.kind.is_cache else ""
    return ", ".join(text for text in (item.told, users, f"{item.busy}: stays" if item.live else "") if text)


def _advice(disk: Disk, root: Path) -> str:
    ways = ["--study NAME"] if disk.studies else []
    ways += ["--caches"] if disk.unused() else []
    ways += ["--orphans"] if any(not item.live for item in disk.orphans) else []
    return (
        f"nothing was removed; remove with: wordlength clean {' '.join(ways)}"
        if ways
        else f"nothing to remove in {root}"
    )
