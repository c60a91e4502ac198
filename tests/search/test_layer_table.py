from pathlib import Path

import pytest

from wordlength.search.layer_table import layer_table
from wordlength.space.layer_types import LAYER_TYPES

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text("utf-8") == layer_table(), "python -m wordlength.search.layer_table > docs/layers.md"
    rows = [line.split(" | ")[0].removeprefix("| ") for line in layer_table().splitlines() if line.startswith("| ")]
    assert set(LAYER_TYPES) - {"InputLayer"} <= set(rows)


@pytest.mark.usefixtures("tensorflow")
def test_every_layer_type_is_one_of_keras() -> None:
    import keras

    assert all(issubclass(getattr(keras.layers, name), keras.layers.Layer) for name in LAYER_TYPES)
