"""A network in a `.keras` file: its architecture, and its trained weights where it is a study's float baseline.

The file's bytes, and not its place, are what settings carry: they go to machines that lack the file. It is read in
Keras' safe mode, in which no code from the file runs.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from wordlength.digests import short_digest
from wordlength.errors import ModelError, first_line
from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT


@dataclass(frozen=True)
class KerasFile:
    """A network as Keras saved it."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    """The `.keras` file; its place starts beside the study file."""
    content: bytes = field(default=b"", repr=False, init=False)
    """What the file holds, once it was read."""

    def __post_init__(self) -> None:
        if not self.name.endswith(".keras"):
            raise ValueError(f"a network's file must end in .keras, but got {self.name!r}")

    @classmethod
    def holding(cls, name: str, content: bytes) -> KerasFile:
        """The file as it was read."""
        file = cls(name)
        object.__setattr__(file, "content", content)
        return file

    @property
    def file(self) -> Path:
        """Where it was read from."""
        return Path(self.name)

    @property
    def label(self) -> str:
        """The file without its folder."""
        return self.file.name

    @property
    def digest(self) -> str:
        """16 hex digits of its content."""
        return short_digest(self.content)

    @property
    def described(self) -> dict[str, Any]:
        """What makes the network; no places."""
        return {"name": self.label, "content": self.digest}

    def build(self, shape: NetworkShape, seed: int) -> Any:
        """The file's architecture, weights initialised from `seed`. Raises ModelError."""
        import keras

        trained = self.trained()
        keras.utils.set_random_seed(seed)
        return keras.models.clone_model(trained)

    def trained(self) -> Any:
        """The model in the file, weights and all. Raises ModelError in one line."""
        import keras

        if not zipfile.is_zipfile(io.BytesIO(self.content)):
            raise ModelError(
                f"a network's file must be what model.save wrote, but {self.label} is no such archive ({self.name})"
            )
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "network.keras"
            copy.write_bytes(self.content)
            try:
                return keras.saving.load_model(copy, compile=False, safe_mode=True)
            except Exception as error:  # Keras' readers raise whatever lies below them.
                told = first_line(error).replace(str(copy), self.label)
                raise ModelError(
                    f"a network's file must be one that Keras' safe mode reads, but {told} ({self.name})"
                ) from None
