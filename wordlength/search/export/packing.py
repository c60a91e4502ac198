"""weights.bin: every parameter at its width, without gaps; as many bytes as the memory objective counts.

Tensors follow each other in slot order, each from a byte boundary on. Of each: the codes of its elements in Keras'
order (the last axis fastest), then its side information: 4 bits per vbs group (its shift), or 6 bits per channel
(its integer bits, two's complement). The first code lies in the lowest bits of the first byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from wordlength.errors import BundleError
from wordlength.objectives.integer import Parameter
from wordlength.space import Encoded, Fixed, Float32, Format, Slot, TensorInfo, parse_format
from wordlength.space.formats import CHANNEL_POSITION_BITS, VBS_SHIFT_BITS

Bits = npt.NDArray[np.uint8]
_ORDER = (
    "tensor after tensor, each from a byte boundary on; of each the codes in Keras' order, the last axis fastest, then "
    "its side information; without gaps, the first code in the lowest bits of the first byte"
)


@dataclass(frozen=True)
class Packed:
    """One tensor's place in weights.bin: `offset` and `size` in bytes."""

    parameter: Parameter
    offset: int

    @property
    def size(self) -> int:
        """Bytes, side information included."""
        return -(-self._format.stored_bits(self.parameter.info.packed_shape) // 8)

    @property
    def side_offset_bits(self) -> int:
        """Where the side information begins, in bits from the tensor's first byte."""
        return self._format.width_bits * self.parameter.info.count

    def to_bytes(self) -> bytes:
        """Its bytes."""
        codes = self.parameter.encoded.codes.reshape(-1)
        parts = [_bits(codes, self._format.width_bits), _side_bits(self.parameter)]
        return np.packbits(np.concatenate(parts), bitorder="little").tobytes()

    def to_dict(self) -> dict[str, Any]:
        """Its row in weights.json."""
        parameter = self.parameter
        return {
            "slot": str(parameter.slot),
            "tensor": parameter.info.name,
            "shape": list(parameter.info.shape),
            "channel_axes": parameter.info.channel_axes,
            "format": str(parameter.format),
            "bits_per_code": parameter.format.width_bits,
            "last_bit_exponent": None if isinstance(parameter.format, Float32) else parameter.exponent,
            "offset_bytes": self.offset,
            "size_bytes": self.size,
            "side_information": _side_information(self),
        }

    @property
    def _format(self) -> Format:
        return self.parameter.format


def laid_out(parameters: Iterable[Parameter]) -> tuple[Packed, ...]:
    """The tensors at their offsets, one behind the other."""
    placed: list[Packed] = []
    for parameter in parameters:
        placed.append(Packed(parameter, placed[-1].offset + placed[-1].size if placed else 0))
    return tuple(placed)


def pack(parts: Iterable[Packed]) -> bytes:
    """The bytes of weights.bin."""
    return b"".join(part.to_bytes() for part in parts)


def table(parts: Sequence[Packed]) -> dict[str, Any]:
    """What weights.json holds."""
    size = sum(part.size for part in parts)
    return {"bytes": size, "order": _ORDER, "tensors": [part.to_dict() for part in parts]}


class _Row(BaseModel):
    """What is read of a tensor's row before its codes are; the rest follows from them."""

    model_config = ConfigDict(strict=True)

    slot: str
    tensor: str
    shape: list[Annotated[int, Field(ge=1, le=2**31)]]
    channel_axes: Annotated[int, Field(ge=1, le=2)]
    format: str


def unpack(payload: bytes, described: Any) -> tuple[Parameter, ...]:
    """The tensors of weights.bin, as weights.json describes them. Raises BundleError if the two do not fit together."""
    try:
        rows = TypeAdapter(list[_Row]).validate_python(described["tensors"])
    except (KeyError, TypeError, ValidationError):
        raise BundleError("weights.json must have a row for every tensor, but has not") from None
    found: list[Packed] = []
    for row in rows:
        offset = found[-1].offset + found[-1].size if found else 0
        found.append(Packed(_read(row, payload[offset:]), offset))
    if pack(found) != payload or table(found) != described:
        raise BundleError("weights.json must describe weights.bin, all of it and nothing else, but does not")
    return tuple(part.parameter for part in found)


def _read(row: _Row, rest: bytes) -> Parameter:
    """One tensor from the bytes that begin with it."""
    slot, fmt = Slot.parse(row.slot), parse_format(row.format)
    info = TensorInfo(row.tensor, tuple(row.shape), row.channel_axes)
    bits, side = fmt.width_bits * info.count, fmt.side_bits(info.packed_shape)
    size = -(-(bits + side) // 8)
    if len(rest) < size:
        raise BundleError(f"weights.bin must hold {size} bytes of {slot}, but ends after {len(rest)}")
    held = np.unpackbits(np.frombuffer(rest[:size], np.uint8), bitorder="little")
    codes = _codes(held[:bits], fmt.width_bits).reshape(info.packed_shape)
    return Parameter(slot, info, fmt, Encoded(codes, _shifts(held[bits : bits + side], fmt)))


def _bits(codes: npt.NDArray[Any], width: int) -> Bits:
    places = np.arange(width, dtype=np.uint32)
    return np.asarray((codes.astype(np.uint32)[:, None] >> places) & 1, np.uint8).reshape(-1)


def _codes(bits: Bits, width: int) -> npt.NDArray[np.uint32]:
    places = np.arange(width, dtype=np.uint32)
    return np.asarray(np.bitwise_or.reduce(bits.reshape(-1, width).astype(np.uint32) << places, axis=1))


def _side_bits(parameter: Parameter) -> Bits:
    fmt = parameter.format
    if isinstance(fmt, Fixed):
        positions = np.array(fmt.positions if fmt.per_channel else (), np.int64)
        return _bits(positions & (2**CHANNEL_POSITION_BITS - 1), CHANNEL_POSITION_BITS)
    return _bits(parameter.encoded.shifts, VBS_SHIFT_BITS)


def _shifts(side: Bits, fmt: Format) -> npt.NDArray[np.uint8]:
    stored = not isinstance(fmt, Fixed) and len(side)
    return _codes(side, VBS_SHIFT_BITS).astype(np.uint8) if stored else np.zeros(0, np.uint8)


def _side_information(part: Packed) -> dict[str, Any] | None:
    """What lies behind the codes; None if nothing does."""
    fmt, encoded = part.parameter.format, part.parameter.encoded
    if not fmt.side_bits(part.parameter.info.packed_shape):
        return None
    if isinstance(fmt, Fixed):
        values, what, width = list(fmt.positions), "integer bits per channel", CHANNEL_POSITION_BITS
    else:
        values, what, width = encoded.shifts.tolist(), "shift per group", VBS_SHIFT_BITS
    return {"what": what, "bits": width, "offset_bits": part.side_offset_bits, "values": values}
