"""What every layer type must fulfil: a new one is a row in a table of networks, and inherits every test.

A network is a small functional model with the layer `odd` in it; the output is (n, 3).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from wordlength.objectives.analysis import Analyser
from wordlength.objectives.memory import float_bytes, memory_bytes
from wordlength.objectives.network import network_facts
from wordlength.objectives.quantized_model import QuantizedModel, frozen, quantize
from wordlength.objectives.settings import AnalysisSettings
from wordlength.search.export.packing import laid_out, pack
from wordlength.search.export.qkeras_model import plain_model
from wordlength.space import Candidate, Fixed, Float32, Format, PowerOfTwo, Role, SlotInfo, find_slots
from wordlength.space.slots import variable_of

Network = Callable[[], keras.Model]


@dataclass(frozen=True)
class Case:
    """One network with random weights, all of them non-zero, and its quantized copy."""

    model: Any
    inputs: Any
    slots: tuple[SlotInfo, ...]
    quantized: QuantizedModel

    @classmethod
    def of(cls, network: Network) -> Case:
        model, rng = network(), np.random.default_rng(3)
        for variable in model.weights:
            variable.assign(rng.normal(0, 0.5, variable.shape).astype(np.float32))
        inputs = rng.normal(0, 1, (6, *model.input_shape[1:])).astype(np.float32)
        return cls(model, inputs, find_slots(model), quantize(model))

    def candidate(self, *by_role: Format) -> Candidate:
        """The weights' format, the biases', the activations'."""
        return Candidate.uniform((info.slot for info in self.slots), *by_role)


PARAMETERS = [(Fixed(5, 0), Fixed(6, 1)), (PowerOfTwo(4, 0), Fixed(4, 0))]
"""Formats of weights and biases."""


class LayerContract:
    """Tests of every network of `networks`, by name.

    `products`: by the same name, those of the layer `odd` per window, counted by hand; 0 where it has no kernel.
    """

    networks: ClassVar[dict[str, Network]]
    products: ClassVar[dict[str, int]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.parametrize("case", self.networks, indirect=True, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tensorflow: Any, request: pytest.FixtureRequest) -> Case:
        return Case.of(cls.networks[request.param])

    def test_every_weight_is_in_one_slot(self, case: Case) -> None:
        places = [tensor.place for info in case.slots for tensor in info.tensors]
        assert sorted(places) == list(range(len(case.model.weights))) != []
        assert float_bytes(case.slots) == 4 * sum(int(np.prod(weight.shape)) for weight in case.model.weights)

    def test_costs_are_counted(self, case: Case, request: pytest.FixtureRequest) -> None:
        facts = {layer.name: layer for layer in network_facts(case.model).layers}
        assert set(facts) == {layer.name for layer in case.model.layers}
        for layer in case.model.layers:
            assert facts[layer.name].elements == np.prod(layer.output.shape[1:])
        if "odd" in facts:
            wanted = self.products.get(request.node.callspec.params["case"], 0)
            assert facts["odd"].products == wanted

    def test_float32_changes_nothing(self, case: Case) -> None:
        case.quantized.set_weights(case.model.get_weights())
        case.quantized.assign(case.candidate(Float32(), Float32(), Float32()))
        wanted = case.model(case.inputs).numpy()
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(case.quantized.model(case.inputs), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())

    @pytest.mark.parametrize("formats", PARAMETERS, ids=lambda formats: formats[0].brief)
    def test_parameters_are_rounded_as_their_format_rounds(self, case: Case, formats: tuple[Format, Format]) -> None:
        candidate = case.candidate(*formats, Float32())
        case.quantized.assign(candidate)
        given = case.quantized.model(case.inputs).numpy()
        kept = case.model.get_weights()
        try:
            for info in case.slots:
                for tensor, fmt in zip(info.tensors, info.formats(candidate[info.slot]), strict=False):
                    variable = variable_of(case.model.get_layer(info.slot.layer), tensor.name)
                    values = np.asarray(variable).reshape(tensor.packed_shape)
                    variable.assign(fmt.round(values).reshape(tensor.shape))
            wanted = case.model(case.inputs).numpy()
        finally:
            case.model.set_weights(kept)
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
        assert np.abs(given - case.model(case.inputs)).max() > 1e-3 * np.abs(wanted).max()

    def test_outputs_lie_on_their_format(self, case: Case) -> None:
        fmt = Fixed(6, 2)
        case.quantized.assign(case.candidate(Float32(), Float32(), fmt))
        *taps, outputs = case.quantized.taps(case.inputs)
        np.testing.assert_array_equal(fmt.round(taps[-1].numpy()), outputs)
        assert (outputs.numpy() != taps[-1].numpy()).any()

    def test_the_gradient_reaches_every_weight(self, case: Case) -> None:
        case.quantized.assign(case.candidate(Fixed(8, 1), Fixed(8, 1), Fixed(12, 3)))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(case.quantized.model(case.inputs, training=True) - 0.3))
        found = tape.gradient(loss, [variable.value for variable in case.quantized.variables])
        for variable, gradient in zip(case.quantized.variables, found, strict=True):
            assert gradient is not None, variable.path
            assert (gradient.numpy() != 0).any(), variable.path

    def test_one_graph_serves_all_formats(self, case: Case) -> None:
        traces = []

        @tf.function(jit_compile=False, autograph=False)
        def graph(x: tf.Tensor) -> tf.Tensor:
            traces.append(1)
            return case.quantized.model(x)

        given = []
        for weights, activations in (
            (Float32(), Float32()),
            (Fixed(4, 0), Fixed(5, 1)),
            (PowerOfTwo(3, 0), Fixed(9, 2)),
        ):
            case.quantized.assign(case.candidate(weights, Fixed(8, 1), activations))
            given.append(graph(tf.constant(case.inputs)).numpy())
            np.testing.assert_allclose(given[-1], case.quantized.model(case.inputs), rtol=1e-5, atol=1e-5)
        assert len(traces) == 1
        assert all((one != other).any() for one, other in itertools.pairwise(given))

    def test_the_analysis_has_a_row_for_every_slot(self, case: Case) -> None:
        candidate = case.candidate(Fixed(5, 0), Fixed(6, 1), Fixed(6, 2))
        case.quantized.assign(candidate)
        analyser = Analyser(case.quantized, _Held(case), np.arange(6, dtype=np.int32), AnalysisSettings())  # type: ignore[arg-type]
        found = analyser.analyse(candidate, 2, 1)
        assert [row.slot for row in found.layers] == [info.slot for info in case.slots]
        for row, info in zip(found.layers, case.slots, strict=True):
            assert row.count == info.count or info.slot.role is Role.ACTIVATIONS
            assert row.max_magnitude > 0
            assert row.histogram
        kernels = [
            (info.slot.layer, tensor.name)
            for info in case.slots
            if info.slot.role is Role.WEIGHTS
            for tensor in info.tensors
        ]
        known = [(row.layer, row.kernel) for row in found.accumulators]
        assert set(known) <= set(kernels)
        for row in found.accumulators:
            assert row.lowest_worst <= row.lowest_used <= row.highest_used <= row.highest_worst, row

    def test_memory_is_what_is_packed(self, case: Case) -> None:
        from wordlength.objectives.integer import parameters_of

        candidate = case.candidate(Fixed(5, 0), Fixed(7, 1), Fixed(6, 2))
        packed = pack(laid_out(parameters_of(case.model, candidate)))
        assert len(packed) == memory_bytes(case.slots, candidate) < float_bytes(case.slots) / 4

    @pytest.mark.parametrize("weights", [Fixed(5, 0), Float32()], ids=lambda fmt: fmt.brief)
    def test_the_exported_model_gives_the_same(self, case: Case, weights: Format, tmp_path: Path) -> None:
        candidate = case.candidate(weights, Fixed(6, 1), Fixed(7, 2))
        trained = frozen(tuple(case.model.get_weights()), case.model, candidate)
        plain = plain_model(tuple(case.model.get_weights()), case.model, candidate)
        plain.model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        wanted = trained.model(case.inputs).numpy()
        np.testing.assert_array_equal(plain.model(case.inputs), loaded(case.inputs))
        # A step of the output's format where float32 sums in another order fall on the other side of a tie.
        assert np.mean(loaded(case.inputs).numpy() != wanted) <= 0.05
        np.testing.assert_allclose(loaded(case.inputs), wanted, rtol=0, atol=2 * Fixed(7, 2).step)
        if weights == Float32():
            return
        trained.model.save(tmp_path / "trained.keras")
        again = keras.models.load_model(tmp_path / "trained.keras")
        np.testing.assert_array_equal(again(case.inputs), wanted)


@dataclass(frozen=True)
class _Held:
    """Windows that lie in memory as they are."""

    case: Case

    def inputs(self, current: Any) -> tf.Tensor:
        return tf.constant(self.case.inputs[current])

    def wanted(self, current: Any) -> tf.Tensor:
        return tf.zeros((len(current), 3)) + 0.3
