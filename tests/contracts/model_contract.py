"""What every network must keep: a new one inherits all tests by naming its settings, others, and shapes.

Small settings: each test builds the network, some quantize it.
"""

import json
import pickle
from typing import ClassVar

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from wordlength.errors import ModelError
from wordlength.objectives.models import ModelSettings, build_model
from wordlength.objectives.models.float_network import float_network
from wordlength.objectives.quantized_model import quantize
from wordlength.objectives.shape import NetworkShape
from wordlength.search.study_file.model import ModelField
from wordlength.space import Candidate, Float32, Role, find_slots

_READ = TypeAdapter(ModelField)


def inputs_for(shape: NetworkShape) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1.5, (5, *shape.inputs)).astype(np.float32)


@pytest.mark.usefixtures("tensorflow")
class ModelContract:
    """Inherit, name `settings`, `others` that differ from it in one setting each, and `shapes` that it builds for."""

    settings: ClassVar[ModelSettings]
    others: ClassVar[tuple[ModelSettings, ...]]
    shapes: ClassVar[tuple[NetworkShape, ...]] = (NetworkShape(16, 64, 129), NetworkShape(9, 40, 65))
    follows: ClassVar[bool] = True
    """Whether it is built for the data's shape, or has one of its own."""

    def test_it_builds_for_each_shape(self) -> None:
        assert self.shapes
        for shape in self.shapes:
            outputs = build_model(self.settings, shape, seed=0)(inputs_for(shape)).numpy()
            assert outputs.shape == (5, shape.outputs)
            assert np.isfinite(outputs).all()

    def test_weights_follow_from_the_seed(self) -> None:
        one, same, other = (build_model(self.settings, self.shapes[0], seed).get_weights() for seed in (1, 1, 2))
        assert len(one) == len(same) == len(other) > 0
        for a, b in zip(one, same, strict=True):
            np.testing.assert_array_equal(a, b)
        assert any((a != b).any() for a, b in zip(one, other, strict=True))

    def test_its_slots_are_the_same_each_time(self) -> None:
        """Layers that the network leaves without a name would else count on from the network before."""
        first, again = (find_slots(float_network(self.settings, self.shapes[0])) for _ in range(2))
        assert first == again
        assert {info.slot.role for info in first} >= {Role.WEIGHTS, Role.ACTIVATIONS}

    def test_every_parameter_is_in_a_slot(self) -> None:
        model = float_network(self.settings, self.shapes[0])
        assert sum(info.count for info in find_slots(model)) == model.count_params()

    def test_quantized_to_float32_it_is_the_float_network(self) -> None:
        shape = self.shapes[0]
        model = float_network(self.settings, shape)
        quantized = quantize(model)
        quantized.assign(Candidate.of((info.slot, Float32()) for info in quantized.slots))
        x = inputs_for(shape)
        np.testing.assert_allclose(quantized.model(x), model(x), rtol=1e-5, atol=1e-5)

    def test_the_float_network_has_the_weights_order_of_its_quantized_copy(self) -> None:
        model = float_network(self.settings, self.shapes[0])
        copy = quantize(model).model
        assert [w.shape for w in copy.get_weights()] == [w.shape for w in model.get_weights()]

    def test_settings_survive_yaml_and_pickle(self) -> None:
        text = yaml.safe_dump(_READ.dump_python(self.settings, mode="json"))
        read = self.read_again(_READ.validate_python(yaml.safe_load(text)))
        assert read == self.settings
        assert pickle.loads(pickle.dumps(self.settings)) == self.settings
        assert pickle.loads(pickle.dumps(self.settings)).described == self.settings.described

    def read_again(self, settings: ModelSettings) -> ModelSettings:
        """With what its file holds, where it is one."""
        return settings

    def test_what_it_is_described_by_changes_with_any_setting(self) -> None:
        assert self.others
        texts = [json.dumps(settings.described, sort_keys=True) for settings in (self.settings, *self.others)]
        assert len(set(texts)) == len(texts)

    def test_a_label_names_no_place(self) -> None:
        assert self.settings.label
        assert "/" not in self.settings.label + json.dumps(self.settings.described)

    def test_it_follows_the_data_or_is_refused(self) -> None:
        frames, bins, outputs = self.shapes[0].frames, self.shapes[0].bins, self.shapes[0].outputs + 1
        if self.follows:
            model = build_model(self.settings, NetworkShape(frames, bins, outputs), seed=0)
            assert model.output_shape == (None, outputs)
        else:
            with pytest.raises(ModelError, match=rf"give \({outputs},\) .* but it .* gives \({outputs - 1},\)"):
                build_model(self.settings, NetworkShape(frames, bins, outputs), seed=0)
