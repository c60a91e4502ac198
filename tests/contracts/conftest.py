"""The graphs that all formats share, traced once in a session."""

import pytest

pytest.register_assert_rewrite("corpus_contract", "format_contract", "layer_contract", "model_contract", "traced_graph")


@pytest.fixture(scope="session")
def graphs(tensorflow):
    """Whether for activations → the traced graph of that role."""
    from traced_graph import TracedGraph

    return {activations: TracedGraph(activations) for activations in (False, True)}


@pytest.fixture(scope="session")
def quantizers(tensorflow):
    """(Whether for activations, channel axes) → a quantizer to be called without a graph."""
    from wordlength.space.quantizers import FormatQuantizer

    return {
        (activations, axes): FormatQuantizer(activations=activations, channel_axes=axes)
        for activations in (False, True)
        for axes in (1, 2)
    }
