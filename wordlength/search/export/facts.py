"""What both reports of a bundle say: figures, rows and sentences, for Markdown and HTML alike.

Sentences hold `code` between backticks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wordlength.objectives.goals import Goal
from wordlength.objectives.memory import slot_bytes
from wordlength.objectives.report import Accumulator
from wordlength.search.export.config import BundleConfig, HeldOutFigures, LayerProof
from wordlength.search.front import FrontPoint, saved_percent
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Format, Role, Slot, SlotInfo

LAYER_HEADS = ("layer", "parameters", "weights", "biases", "activations", "bytes", "float32 bytes")
PROOF_HEADS = ("layer", "equal inputs: largest", "share", "whole network: largest", "share")
ACCUMULATOR_HEADS = ("layer", "kernel", "integer bits, worst", "used", "fraction bits", "total bits, worst", "used")
PROOF_NOTE = (
    "Differences in steps of each layer's format, from equal inputs of the layer and through the whole network; the "
    "largest, and the share of the outputs that differ:"
)
ACCUMULATOR_NOTE = "Bits of every exact sum: those that no input can overflow (worst), and those that the data used."


@dataclass(frozen=True)
class Fact:
    """One head figure: its name, itself, and what it is to be compared with."""

    name: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class LayerRow:
    """One layer of a candidate; `formats` of weights, biases and activations, "–" where the layer has none.

    `briefs` are the same, shortened where a format is long.
    """

    layer: str
    parameters: int
    formats: tuple[str, ...]
    briefs: tuple[str, ...]
    memory_bytes: int

    @property
    def float_bytes(self) -> int:
        """Bytes in float32."""
        return 4 * self.parameters


def layer_rows(slots: Iterable[SlotInfo], candidate: Candidate) -> list[LayerRow]:
    """Every layer with a slot, in model order."""
    by_layer: dict[str, list[SlotInfo]] = {}
    for info in slots:
        by_layer.setdefault(info.slot.layer, []).append(info)
    return [
        LayerRow(
            layer,
            sum(info.count for info in infos),
            tuple(str(fmt or "–") for fmt in _formats(candidate, layer)),
            tuple(fmt.brief if fmt else "–" for fmt in _formats(candidate, layer)),
            sum(slot_bytes(info, candidate) for info in infos),
        )
        for layer, infos in by_layer.items()
    ]


def total_row(rows: Sequence[LayerRow]) -> LayerRow:
    """All layers together."""
    empty = ("",) * len(Role)
    return LayerRow("total", sum(r.parameters for r in rows), empty, empty, sum(r.memory_bytes for r in rows))


def held_out_heads(config: BundleConfig) -> tuple[str, str]:
    """Of the cells of `held_out_cells`."""
    return "test mixtures", config.goal.title


def front_heads(view: StudyView) -> tuple[str, ...]:
    """Of the cells of `front_cells`."""
    goals = view.goals
    cost = "bytes" if goals.cost.name == "memory_bytes" else goals.cost.title
    return "trial", goals.quality.title, cost, "saved", *(goal.title for goal in goals.others)


def report_title(view: StudyView, point: FrontPoint) -> str:
    """Study, trial, and the trial's label if it has one."""
    return f"{view.name}, trial {point.number}" + (f" ({point.label})" if point.label else "")


def head_facts(view: StudyView, point: FrontPoint, config: BundleConfig) -> list[Fact]:
    """What the network reaches, and what it costs."""
    reached, base, count, goal = config.objectives, view.baseline, len(view.front), view.goals.quality
    errors = "" if reached.standard_error is None else "± standard error; "
    against = f"{errors}float32: {goal.text(base.quality)}"
    quality = with_error(goal, reached.quality, reached.standard_error)
    facts = [Fact(f"{goal.title} on the validation mixtures", quality, against)]
    if (kept := goal.kept(reached.quality, base.quality)) is not None:
        facts.append(Fact(f"Kept of float32's {goal.title}", f"{100 * kept:.1f} %"))
    if reached.baseline_difference is not None:
        difference = goal.difference_text(reached.baseline_difference, reached.baseline_difference_error)
        facts.append(Fact("Difference to float32", difference, "paired, of the same mixtures"))
    if config.retraining is not None:
        test = config.retraining.test
        quality = with_error(goal, test.quality, test.standard_error)
        facts.append(Fact(f"{goal.title} on the test mixtures", quality, f"float32: {goal.text(test.float_quality)}"))
    facts += [
        Fact(
            f"{other.title[:1].upper()}{other.title[1:]}" + (", before retraining" if config.retraining else ""),
            other.told(point.values[other.name]),
            f"float32: {other.told(base.values[other.name])}",
        )
        for other in (view.goals.cost, *view.goals.others)
        if other.name != "memory_bytes"
    ]
    on_front = any(member.number == point.number for member in view.front)
    saved = saved_percent(point.memory_bytes, base.memory_bytes)
    return [
        *facts,
        Fact("Memory of all parameters", f"{point.memory_bytes:,} bytes", f"float32: {base.memory_bytes:,} bytes"),
        Fact("Memory saved", f"{saved:.1f} %"),
        Fact(
            "Pareto front",
            f"{'one' if on_front else 'none'} of its {count} point{'' if count == 1 else 's'}",
            f"after {view.finished} finished trials",
        ),
        Fact("Weights", "retrained after the search" if config.retraining else "the trial's own"),
    ]


def held_out_text(config: BundleConfig) -> str:
    """What the test mixtures are, and how the weights came about; empty without retraining."""
    if config.retraining is None:
        return ""
    return (
        f"Retrained on all training data, {config.retraining.settings['epochs']} passes in each of the two steps; "
        "measured with test speakers and noises that no trial has heard."
    )


def held_out_cells(test: HeldOutFigures, goal: Goal) -> list[tuple[str, str]]:
    """Rows below `held_out_heads`."""
    return [
        ("this network", with_error(goal, test.quality, test.standard_error)),
        ("float32", goal.text(test.float_quality)),
        ("difference, paired", goal.difference_text(test.difference, test.difference_error)),
    ]


def analysis_text(config: BundleConfig) -> str:
    """Which weights the analysis is of, where they are not the exported ones; else empty."""
    return "Of the trial's own training: the retrained weights were not analysed." if config.retraining else ""


def arithmetic_texts(config: BundleConfig) -> tuple[str, list[str]]:
    """What the integers are, and how far they lie from the float model; without integers, why."""
    arithmetic = config.arithmetic
    if arithmetic is None:
        return f"None: {config.no_arithmetic}.", []
    last = arithmetic.layers[-1]
    equal, steps = 100 * (1 - last.unequal), f"{last.largest} {'step' if last.largest == 1 else 'steps'}"
    told = f"{equal:.2f} % of the outputs are equal, the others at most {steps} apart"
    points = [f"on {arithmetic.vectors:,} test frames {told if last.largest else 'all outputs are equal'}"]
    if arithmetic.quality is not None:
        off = arithmetic.quality - config.objectives.quality
        points.append(f"{config.goal.title} through the C code: {arithmetic.quality:+.6f}, {off:+.1e} from the model's")
    for layer, why in arithmetic.no_hls4ml.items():
        points.append(f"no `hls4ml/`: {layer}: {why}")
    return (
        f"The input is rounded to `{arithmetic.input_format}`; a code k of the output means "
        f"k · 2^{arithmetic.output_exponent}. `c/` and the integer reference give the same to the last bit. The QKeras "
        "model sums in float32, which rounds where integers do not:"
    ), points


def proof_cells(row: LayerProof) -> tuple[str, ...]:
    """A row below PROOF_HEADS."""
    alone, whole = (f"{share:.2e}" if share else "0" for share in (row.unequal_alone, row.unequal))
    return row.layer, str(row.largest_alone), alone, str(row.largest), whole


def loading_code(config: BundleConfig) -> dict[str, str]:
    """Language → how to load the model, how to check the bundle."""
    ours = ["from wordlength import FormatQuantizer  # Keras must know the quantizers' class"]
    python = ["import keras", "import qkeras", *(ours if config.needs_wordlength else []), ""]
    python += [
        f'model = keras.models.load_model("qkeras_model.keras")  # {config.features.text} → {config.target.text}'
    ]
    shell = ["sha256sum --check SHA256SUMS   # every file"]
    shell += ["make -C c check                # the C code on the test vectors"] if config.arithmetic else []
    hls4ml = config.arithmetic and not config.arithmetic.no_hls4ml
    shell += ["python hls4ml/check.py         # hls4ml's C simulation on some of them"] if hls4ml else []
    shell += [f"wordlength verify .            # everything again, {config.goal.title} included"]
    return {"python": "\n".join(python), "sh": "\n".join(shell)}


def loading_remarks(config: BundleConfig) -> dict[str, list[str]]:
    """Heading → a sentence per slot whose quantizer is not QKeras' own, or wider there."""
    told = {"Quantizers of wordlength's own": config.needs_wordlength, "Wider in QKeras": config.wider_in_qkeras}
    return {head: [f"`{slot}`: {why}" for slot, why in slots.items()] for head, slots in told.items() if slots}


def front_text(point: FrontPoint, config: BundleConfig) -> str:
    """What the trial reached in the search, where the exported weights are others; else empty."""
    if config.retraining is None:
        return ""
    reached = point.goals.quality.text(point.quality)
    return f"Every trial as the search trained it; before retraining, this one reached {reached}."


def front_cells(point: FrontPoint, view: StudyView) -> tuple[str, ...]:
    """A row below `front_heads`."""
    goals = view.goals
    others = (goal.text(point.values[goal.name]) for goal in goals.others)
    figures = goals.quality.text(point.quality), goals.cost.text(point.cost), f"{view.baseline.saved(point):.1f} %"
    return str(point.number), *figures, *others


def accumulator_cells(row: Accumulator) -> tuple[str, ...]:
    """Layer, kernel, integer bits worst and used, fraction bits, total bits worst and used.

    "–" where unknown, and for used where all sums were 0.
    """
    silent = row.lowest_used == row.highest_used == 0
    used = (None, None) if silent else (row.integer_bits_used, row.bits_used)
    bits = (row.integer_bits_worst, used[0], row.fraction_bits, row.bits_worst, used[1])
    return row.layer, row.kernel, *("–" if number is None else str(number) for number in bits)


def with_error(goal: Goal, value: float, standard_error: float | None) -> str:
    """A goal's figure with its standard error, if known: "+0.0310 ± 0.0042"."""
    return goal.text(value) + goal.error_text(standard_error)


def _formats(candidate: Candidate, layer: str) -> Iterable[Format | None]:
    return (candidate.get(Slot(layer, role)) for role in Role)
