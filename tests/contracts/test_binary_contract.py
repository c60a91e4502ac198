import numpy as np
from format_contract import FormatContract, anywhere
from format_strategies import binary_formats

from wordlength.space import Binary


class TestBinary(FormatContract):
    formats = binary_formats
    examples = (
        Binary(),
        Binary(25),
        Binary(0.5),
        Binary(1000.0),
        Binary(1e-6),
        Binary(learn_threshold=False),
        Binary(100, learn_threshold=False),
    )

    # Of parameters, which it is no format for.
    test_parameters_that_do_not_learn_get_no_gradient = None
    test_depthwise_kernels = None

    def boundaries(self, fmt: Binary) -> np.ndarray:
        return np.array([[0.0], [1.0], [-1.0], [2.0**-126], [-(2.0**-126)]])

    def distinct_codes(self, fmt: Binary) -> int:
        return 2

    def slope(self, fmt: Binary, values: np.ndarray) -> np.ndarray:
        """The surrogate 1 / (1 + steepness · |x|)²."""
        return 1 / (1 + fmt.steepness * np.abs(values.astype(np.float64))) ** 2

    def test_limits_are_the_ends_of_each_element(self, fmt: Binary) -> None:
        """Every sum has its bit, so none lies outside."""
        lowest, highest = fmt.limits(anywhere())
        assert (lowest, highest) == (-np.inf, np.inf)

    def test_a_bit_says_whether_the_sum_is_above_zero(self, fmt: Binary) -> None:
        sums = np.array([1e-30, 5, np.inf, 0, -0.0, -1e-30, -np.inf], np.float32)
        assert fmt.encode(sums).codes.tolist() == [1, 1, 1, 0, 0, 0, 0]
