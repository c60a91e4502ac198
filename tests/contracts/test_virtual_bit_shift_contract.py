import numpy as np
from format_contract import EXHAUSTIVE_BITS, FormatContract, anywhere, halves_of_codes, neighbourhood
from format_strategies import vbs_formats

from wordlength.space import VirtualBitShift


class TestVirtualBitShift(FormatContract):
    formats = vbs_formats
    examples = (
        *(VirtualBitShift(bits) for bits in (2, 3, 4, 8, 12, 25, 32)),
        *(VirtualBitShift(bits, "channel") for bits in (2, 4, 6, 16, 26)),
        *(
            VirtualBitShift(bits, length)
            for bits, length in ((2, 1), (2, 4), (4, 3), (4, 16), (8, 64), (16, 7), (32, 2))
        ),
        VirtualBitShift(4, 2**24),
    )

    def grids(self, fmt: VirtualBitShift) -> list[np.ndarray]:
        """For every position a group, or groups, at whose leading value it turns, with codes and ties."""
        grids = []
        for position in (-13, -12, -11, -10, -3, 0, 3, 4, 5, 6):
            end = np.float32(2.0**position)
            step = 2.0 ** (min(max(position, -11), 4) - fmt.bits + 1)
            halves = halves_of_codes(-(2 ** (fmt.bits - 1)), 2 ** (fmt.bits - 1) - 1, fmt.bits, exhaustive_bits=5)
            codes = neighbourhood(halves / 2 * step)
            inside = codes[(codes >= -(2.0**position)) & (codes < 2.0**position)]
            for leader in (end, np.nextafter(end, np.float32(0)), -end, np.nextafter(-end, np.float32(-9e9))):
                smaller = inside[np.abs(inside) <= abs(leader)]
                grids.append(self.grouped(fmt, leader, smaller))
        everything = anywhere()
        grids.append(np.resize(everything, (len(everything) // 4, 4)))
        if fmt.bits <= EXHAUSTIVE_BITS:
            lowest, highest = -(2 ** (fmt.bits - 1)), 2 ** (fmt.bits - 1) - 1
            every = np.float32(np.arange(2 * lowest, 2 * highest + 2) / 2 * 2.0 ** (1 - fmt.bits))
            grids += [self.grouped(fmt, np.float32(-(2.0**p)), every * np.float32(2.0**p)) for p in (-11, 0, 4)]
        return grids

    def grouped(self, fmt: VirtualBitShift, leader: np.float32, others: np.ndarray) -> np.ndarray:
        """(rows, 4), the leader in every group."""
        match fmt.group:
            case "tensor":
                flat = np.concatenate([[leader], others])
                return np.resize(flat, (-(-flat.size // 4), 4))
            case "channel":
                rows = np.resize(others, (-(-others.size // 4) or 1, 4)) if others.size else np.zeros((1, 4))
                return np.concatenate([np.full((1, 4), leader), rows]).astype(np.float32)
        length = min(int(fmt.group), 64)
        parts = [np.concatenate([[leader], part]) for part in np.split(others, range(length, others.size, length))]
        flat = np.concatenate([np.resize(part, int(fmt.group) if fmt.group <= 64 else part.size) for part in parts])
        return np.resize(flat, (-(-flat.size // 4), 4)).astype(np.float32)

    def distinct_codes(self, fmt: VirtualBitShift) -> int | None:
        return 2**fmt.bits if fmt.bits <= EXHAUSTIVE_BITS else None

    def side_bits(self, fmt: VirtualBitShift, shape: tuple[int, ...]) -> int:
        count = int(np.prod(shape))
        channels = shape[-1] if shape else 1
        return 4 * {"tensor": 1, "channel": channels}.get(fmt.group, 0) or 4 * -(-count // int(fmt.group))
