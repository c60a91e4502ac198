"""weights.bin: every parameter at its width, without gaps; as many bytes as the memory objective counts.

Tensors follow each other in slot order, each from a byte boundary on. Of each: the codes of its elements in Keras'
order (the last axis fastest), then its side information: 4 bits per vbs group (its shift), or 6 bits per channel
(its integer bits, two's complement). The first code lies in the lowest bits of the first byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wordlength.errors import BundleError
from wordlength.objectives.integer import Parameter
from wordlength.space import Encoded, Fixed, Float32, Format, Slot, TensorInfo, parse_format
from wordlength.space.formats import CHANNEL_POSITION_BITS, VBS_SHIFT_BITS

Bits = npt.NDArray[np.uint8]


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


def unpack(payload: bytes, rows: Iterable[Mapping[str, Any]]) -> tuple[Parameter, ...]:
    """Inverse of `pack`, with the rows of weights.json. Raises BundleError if the two do not fit together."""
    found: list[Packed] = []
    for row in rows:
        slot, fmt = Slot.parse(row["slot"]), parse_format(row["format"])
        info = TensorInfo(row["tensor"], tuple(row["shape"]), row["channel_axes"])
        empty = Encoded(np.zeros(info.packed_shape, np.uint32), np.zeros(0, np.uint8))
        place = Packed(Parameter(slot, info, fmt, empty), found[-1].offset + found[-1].size if found else 0)
        held = np.frombuffer(payload[place.offset : place.offset + place.size], np.uint8)
        if len(held) != place.size:
            raise BundleError(f"weights.bin must hold {place.size} bytes of {slot}, but ends after {len(held)}")
        bits = np.unpackbits(held, bitorder="little")
        codes = _codes(bits[: place.side_offset_bits], fmt.width_bits).reshape(info.packed_shape)
        shifts = _shifts(bits[place.side_offset_bits :], fmt, info)
        found.append(Packed(Parameter(slot, info, fmt, Encoded(codes, shifts)), place.offset))
        if found[-1].to_dict() != row:
            raise BundleError(f"weights.json must describe {slot} as it is in weights.bin, but says {dict(row)}")
    if pack(found) != payload:
        raise BundleError("weights.bin must hold what weights.json describes and nothing else, but holds other bytes")
    return tuple(part.parameter for part in found)


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


def _shifts(side: Bits, fmt: Format, info: TensorInfo) -> npt.NDArray[np.uint8]:
    count = 0 if isinstance(fmt, Fixed) else fmt.side_bits(info.packed_shape)
    return _codes(side[:count], VBS_SHIFT_BITS).astype(np.uint8) if count else np.zeros(0, np.uint8)


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
