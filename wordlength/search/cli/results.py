"""Standard output: tables that lose nothing in a narrow terminal, and lines that end where their text ends."""

from __future__ import annotations

from typing import IO, Any

from rich.console import Console
from rich.table import Table

TABLE_COLUMNS = 80
"""What a table of figures is made to fit."""


class Results(Console):
    """`notes`: where it says that the terminal is too narrow, once per command."""

    def __init__(self, notes: Console) -> None:
        super().__init__()
        self._notes, self._told = notes, False

    def begin(self) -> None:
        """Another command begins to print."""
        self.quiet = self._told = False

    @property  # type: ignore[misc]  # Nothing sets it here.
    def file(self) -> IO[str]:
        """Standard output as it is now; what is no terminal gets no blanks at the ends of lines."""
        file = super().file
        return file if file.isatty() else _Trimmed(file)  # type: ignore[return-value]

    @property
    def table_columns(self) -> int:
        """How wide tables may be."""
        return max(TABLE_COLUMNS, self.width)

    def show(self, *parts: Table | str) -> None:
        """Each below the other. A table of figures is never cut: where it must, the terminal folds its lines."""
        for part in parts:
            if isinstance(part, Table) and self._is_too_wide(part):
                self._tell()
                Console(file=self.file, width=self.table_columns, quiet=self.quiet).print(part)
            else:
                self.print(part, highlight=False, markup=False)

    def _is_too_wide(self, table: Table) -> bool:
        """Whether it would lose figures: of columns that may not wrap, rich cuts what does not fit."""
        wished = self.measure(table, options=self.options.update(width=self.table_columns)).maximum
        return wished > self.width and any(column.no_wrap for column in table.columns)

    def _tell(self) -> None:
        if not (self._told or self.quiet):
            text = f"tables take {TABLE_COLUMNS} columns, but this terminal has {self.width}: their lines fold"
            self._notes.print(text, highlight=False, soft_wrap=True)
        self._told = True


class _Trimmed:
    """A file to which whole lines are written: rich fills tables and titles up with blanks."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """The text, without blanks before ends of lines."""
        return self._file.write("\n".join(line.rstrip(" ") for line in text.split("\n")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
