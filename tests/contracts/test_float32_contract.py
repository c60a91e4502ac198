import numpy as np
from format_contract import LARGEST, FormatContract, anywhere
from format_strategies import float32_formats

from wordlength.space import Float32


class TestFloat32(FormatContract):
    formats = float32_formats
    examples = (Float32(),)

    def boundaries(self, fmt: Float32) -> np.ndarray:
        return anywhere()[:, None]

    def distinct_codes(self, fmt: Float32) -> None:
        return None

    def slope(self, fmt: Float32, values: np.ndarray) -> np.ndarray:
        return np.ones(values.shape)

    def grids(self, fmt: Float32) -> list[np.ndarray]:
        """Normal and finite: what else float32 holds is not in its limits."""
        (values,) = super().grids(fmt)
        return [values[(np.abs(values) >= 2.0**-126) & (np.abs(values) <= LARGEST)][:, None]]

    def test_not_one_bit_changes(self, graphs) -> None:
        """Not even a denormal's or the sign of a zero; infinity stays infinite."""
        values = anywhere()[:, None]
        assert {np.inf, -np.inf, 0.0, -0.0, 2.0**-149} <= set(values.ravel().tolist())
        fmt = Float32()
        for same in (
            fmt.round(values),
            fmt.decode(fmt.encode(values)),
            *(graphs[r](fmt, values).rounded for r in graphs),
        ):
            np.testing.assert_array_equal(same.view(np.int32), values.view(np.int32))
