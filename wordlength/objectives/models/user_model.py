"""A network of the user's own: a function in a Python file that returns a Keras model.

The file's text, and not its place, is what a study holds: it goes with the settings to machines that lack the file.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from wordlength.digests import short_digest
from wordlength.errors import ModelError, WordlengthError, named
from wordlength.objectives.shape import NetworkShape
from wordlength.objectives.user_function import require_function
from wordlength.strict import STRICT


@dataclass(frozen=True)
class UserModel:
    """A function that returns a functional or sequential Keras model, and what to call it with."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    """File and function as `net.py:build`; the file's place starts beside the study file."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What the function is called with besides `inputs`, `outputs`: names and values."""
    source: str = ""
    """The file's text, in a launched study's own copy; left out, the file is read."""

    def __post_init__(self) -> None:
        if ".py:" not in self.name:
            raise ValueError(f"a function is written file.py:function, but got {self.name!r}")
        try:
            same = json.loads(json.dumps(self.arguments)) == self.arguments
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ValueError(f"arguments must be numbers, text, lists and maps of them, but got {self.arguments!r}")
        if self.source:
            require_function(self.source, self.function, self.file, "a network", ModelError)

    @property
    def file(self) -> Path:
        """Where the function was read from."""
        return Path(self.name.rpartition(":")[0])

    @property
    def function(self) -> str:
        """The function's name."""
        return self.name.rpartition(":")[2]

    @property
    def label(self) -> str:
        """File and function without the folder."""
        return f"{self.file.name}:{self.function}"

    @property
    def described(self) -> dict[str, Any]:
        """What makes the network, in place of the text its digest; no places."""
        return {"name": self.label, "arguments": self.arguments, "source": short_digest(self.source.encode())}

    def build(self, shape: NetworkShape, seed: int) -> Any:
        """What the function returns, weights initialised from `seed`. Raises ModelError that names file and line."""
        import keras

        from wordlength.objectives.models.checked import fresh_names

        keras.utils.set_random_seed(seed)
        with _importable(self.file.parent), fresh_names(), self._telling():
            function = getattr(self._module(), self.function, None)
            if not callable(function):
                raise ModelError(f"a network's file must define the function, but it has no such ({self.name})")
            return function(**self._accepted(function, shape))

    def _module(self) -> ModuleType:
        """The file's text as a module, registered so that its classes know where they are from."""
        module = ModuleType(f"wordlength_network_{self.described['source']}")
        module.__file__ = str(self.file)
        sys.modules[module.__name__] = module
        exec(compile(self.source, str(self.file), "exec"), module.__dict__)
        return module

    def _accepted(self, function: Callable[..., Any], shape: NetworkShape) -> dict[str, Any]:
        """Of shape and arguments those that the function takes; it must take all the arguments."""
        parameters = inspect.signature(function).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        known = {name for name, parameter in parameters.items() if parameter.kind is not parameter.POSITIONAL_ONLY}
        for name in self.arguments:
            if name not in known and not takes_all:
                takes = ", ".join(sorted(known)) or "none"
                raise ModelError(f"arguments must be the function's, but got {name!r}; it takes {takes} ({self.name})")
        ours = {"inputs": shape.inputs, "outputs": shape.outputs}
        given = {name: value for name, value in ours.items() if name in known or takes_all} | self.arguments
        for name, parameter in parameters.items():
            by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if by_name and parameter.default is parameter.empty and name not in given:
                raise ModelError(
                    "a network's function is called with inputs, outputs and the model's arguments, "
                    f"but it needs {name!r} as well ({self.name})"
                )
        return given

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Whatever the user's code raises, in one line with the last of its own lines."""
        try:
            yield
        except WordlengthError:
            raise
        except (Exception, SystemExit) as error:
            line, trace = 0, error.__traceback__
            while trace:
                line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(self.file) else line
                trace = trace.tb_next
            place = f"{self.name}, line {line}" if line else self.name
            raise ModelError(
                f"a network's function must return a Keras model, but it raised {named(error)} ({place})"
            ) from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Python files beside the function's can be imported, where the folder exists."""
    if not folder.is_dir():
        yield
        return
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
