"""C code that unpacks a layer's weights, and the memory that it takes for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wordlength.objectives.integer import Grid, Parameter, Sum
from wordlength.search.export.c.plan import DEPTH, Scratch, accumulator_bits, bits_of, c_type
from wordlength.search.export.packing import Packed
from wordlength.space import Fixed, PowerOfTwo, VirtualBitShift
from wordlength.space.formats import CHANNEL_POSITION_BITS, HIGHEST_VBS_POSITION, VBS_SHIFT_BITS


class Unpacker:
    """Lines that fill arrays with codes of weights.bin; `scratch` collects these arrays.

    `places`: where each tensor lies.
    """

    def __init__(self, places: Mapping[str, Packed]) -> None:
        self._places = places
        self.scratch = Scratch()

    def array(self, union: str, kind: str, count: int) -> str:
        """C expression of an array that layers share."""
        return self.scratch.need(f"scratch_{union}", kind, count)

    def bytes_of(self, parameter: Parameter) -> str:
        """C expression: where the tensor's codes begin."""
        return f"network_weights + {self._places[parameter.name].offset}"

    def channel_shifts(self, number: int, step: Sum) -> Iterator[str]:
        """Fill `shifts` with how far every output channel's sums are shifted."""
        if shifted_sums(step):
            yield f"for (o = 0; o < {step.shape[2]}; o++)"
            yield f"{DEPTH}shifts{number}[o] = (uint8_t){self._side_shift(step.kernel, 'o')};"

    def _side_shift(self, parameter: Parameter, group: str) -> str:
        """C expression: how far a group's codes are shifted left of the tensor's last bit."""
        most = int(parameter.shifts.max(initial=0))  # Codes of 0 may lie further up.
        bit = f"{self._places[parameter.name].side_offset_bits} + {{width}} * ({group})"
        match parameter.format:
            case VirtualBitShift(bits=bits):
                top = HIGHEST_VBS_POSITION - (bits - 1) - parameter.exponent
                place = bit.format(width=VBS_SHIFT_BITS)
                return f"clip({top} - field_at({self.bytes_of(parameter)}, {place}, {VBS_SHIFT_BITS}), 0, {most})"
            case Fixed() as fmt:
                bottom = fmt.bits - int(fmt.signed) + parameter.exponent
                place = bit.format(width=CHANNEL_POSITION_BITS)
                field = f"field_at({self.bytes_of(parameter)}, {place}, {CHANNEL_POSITION_BITS})"
                return f"clip(wrap_signed({field}, {CHANNEL_POSITION_BITS}) - ({bottom}), 0, {most})"
        raise AssertionError(f"{parameter.format} has no shifts")

    def unpack_biases(self, steps: Mapping[str, Sum]) -> Iterator[str]:
        """Fill arrays with the rows of a bias, at the last bit of the sums that have each: array → sums, in order."""
        for row, (name, step) in enumerate(steps.items()):
            assert step.bias is not None
            bits, width = accumulator_bits(step), step.shape[2]
            number = self._whole_number(step.bias, f"{row * width} + o" if row else "o", bits)
            value = f"left{bits}({number}, {step.bias_shift})" if step.bias_shift else number
            if not row:
                yield f"codes = codes_from({self.bytes_of(step.bias)});"
            yield f"for (o = 0; o < {width}; o++)"
            yield f"{DEPTH}{name}[o] = {value};"

    def unpack_whole_kernel(self, number: int, step: Sum) -> Iterator[str]:
        """Fill `kernel` with all codes of the tensor."""
        yield f"codes = codes_from({self.bytes_of(step.kernel)});"
        yield from self.unpack_kernel(number, step, step.kernel.info.count)

    def _whole_number(self, parameter: Parameter, index: str, bits: int) -> str:
        """C expression: the next element in the tensor's last bits, `index` its number in the tensor."""
        fmt = parameter.format
        if isinstance(fmt, PowerOfTwo):
            return f"times{bits}(1, {_next_power(parameter)})"
        code = f"(int{bits}_t){_next_fixed(parameter)}"
        if parameter.by_channel:
            channels = parameter.info.packed_shape[-1]
            channel = f"({index}) % {channels}" if channels < parameter.info.count else index
            return f"left{bits}({code}, (int){self._side_shift(parameter, channel)})"
        if isinstance(fmt, VirtualBitShift) and isinstance(fmt.group, int):
            return f"left{bits}({code}, (int){self._side_shift(parameter, f'({index}) / {fmt.group}')})"
        return code

    def unpack_kernel(self, number: int, step: Sum, count: int, first: str = "") -> Iterator[str]:
        """Fill `kernel` with `count` codes from where `codes` is; `first`: number of the first within the tensor."""
        kind, index = kernel_type(step), f"{first} + o" if first else "o"
        yield f"for (o = 0; o < {count}; o++)"
        if isinstance(step.kernel.format, PowerOfTwo):
            yield f"{DEPTH}kernel{number}[o] = {_next_power(step.kernel)};"
        elif unpacked_shifted(step):
            bits = max(bits_of(kind), 32)
            yield f"{DEPTH}kernel{number}[o] = ({kind}){self._whole_number(step.kernel, index, bits)};"
        else:
            yield f"{DEPTH}kernel{number}[o] = ({kind}){_next_fixed(step.kernel)};"


def product(step: Sum, value: str, weight: str) -> str:
    """C expression: a value times an unpacked weight."""
    if isinstance(step.kernel.format, PowerOfTwo):
        return f"times{accumulator_bits(step)}({value}, {weight})"
    return f"{value} * {weight}"


def accumulator(step: Sum) -> str:
    """The C type of the sums."""
    return f"int{accumulator_bits(step)}_t"


def unpacked_shifted(step: Sum) -> bool:
    """Whether codes are shifted when they are unpacked: blocks are, and channels of a transposed kernel's input."""
    fmt = step.kernel.format
    blocks = isinstance(fmt, VirtualBitShift) and isinstance(fmt.group, int)
    return blocks or (step.geometry.transposed and step.kernel.by_channel)


def shifted_sums(step: Sum) -> bool:
    """Whether every output channel's sums have a shift of their own."""
    return step.kernel.by_channel and not step.geometry.transposed


def kernel_type(step: Sum) -> str:
    """What holds an unpacked code."""
    kernel = step.kernel
    if isinstance(kernel.format, PowerOfTwo):
        return "uint8_t"
    codes = kernel.integers if unpacked_shifted(step) else kernel.codes
    return c_type(Grid(0, min(int(codes.min()), -1), max(int(codes.max()), 0)))


def _next_fixed(parameter: Parameter) -> str:
    fmt = parameter.format
    signed = not isinstance(fmt, Fixed) or fmt.signed
    return f"next_fixed(&codes, {fmt.width_bits}, {int(signed)})"


def _next_power(parameter: Parameter) -> str:
    fmt = parameter.format
    assert isinstance(fmt, PowerOfTwo)
    return f"next_power(&codes, {fmt.bits}, {parameter.exponent - fmt.first_exponent}, {int(fmt.zero)})"
