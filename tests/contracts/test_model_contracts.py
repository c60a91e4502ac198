"""The networks of the literature, a user's function and a .keras file, each with all tests of a network."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
from keras import layers
from model_contract import ModelContract

from wordlength.objectives.models import IrmCnn, KerasFile, ModelSettings, QualityCnn, SpectrumDnn, UserModel
from wordlength.objectives.shape import NetworkShape

NAMELESS = """
import keras
from keras import layers


def build(inputs, outputs, units=4):
    return keras.Sequential([
        keras.Input(inputs),
        layers.Flatten(),
        layers.Dense(units, "relu"),
        layers.Dense(units),
        layers.ReLU(),
        layers.Dense(outputs, "sigmoid"),
    ])
"""


class TestIrmCnn(ModelContract):
    settings = IrmCnn(filters=(2, 2, 2, 2, 2, 2), dense=(8, 8))
    others = (IrmCnn(filters=(2, 2, 2, 2, 2, 3), dense=(8, 8)), IrmCnn(filters=(2, 2, 2, 2, 2, 2), dense=(8, 9)))


class TestSpectrumDnn(ModelContract):
    settings = SpectrumDnn(hidden=(6, 5))
    others = (SpectrumDnn(hidden=(6, 6)), SpectrumDnn(hidden=(6,)), SpectrumDnn(hidden=(6, 5, 5)))
    shapes = (NetworkShape(11, 129, 129), NetworkShape(1, 65, 65))


class TestQualityCnn(ModelContract):
    settings = QualityCnn(width=0.05)
    others = (QualityCnn(), QualityCnn(width=0.06))
    shapes = (NetworkShape(16, 40, 1), NetworkShape(8, 8, 1))


class TestUserModel(ModelContract):
    settings = UserModel("/somewhere/net.py:build", {"units": 4}, NAMELESS)
    others = (
        UserModel("/somewhere/net.py:build", {"units": 5}, NAMELESS),
        UserModel("/somewhere/net.py:build", {}, NAMELESS),
        UserModel("/somewhere/net.py:build", {"units": 4}, NAMELESS + "# changed\n"),
        UserModel("/somewhere/net.py:other", {"units": 4}, NAMELESS.replace("build", "other")),
    )

    def test_where_the_file_lies_does_not_matter(self) -> None:
        assert UserModel("/elsewhere/net.py:build", {"units": 4}, NAMELESS).described == self.settings.described


@cache
def saved(units: int) -> bytes:
    keras.utils.set_random_seed(7)
    dense = [layers.Dense(units, "relu", name="first"), layers.Dense(3, name="last")]
    model = keras.Sequential([keras.Input((4, 5)), layers.Flatten(), *dense])
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "net.keras")
        return (Path(folder) / "net.keras").read_bytes()


class TestKerasFile(ModelContract):
    shapes = (NetworkShape(4, 5, 3),)
    follows = False

    @property
    def settings(self) -> ModelSettings:
        return KerasFile.holding("/somewhere/net.keras", saved(4))

    @property
    def others(self) -> tuple[ModelSettings, ...]:
        return (KerasFile.holding("/somewhere/net.keras", saved(5)),)

    def read_again(self, settings: ModelSettings) -> ModelSettings:
        assert isinstance(settings, KerasFile)
        return KerasFile.holding(settings.name, saved(4))
