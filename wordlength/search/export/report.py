"""report.md: what was exported, readable without any tool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wordlength.objectives.findings import findings, ranked
from wordlength.objectives.memory import slot_bytes
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport
from wordlength.objectives.settings import AnalysisSettings
from wordlength.search.export.config import BundleConfig
from wordlength.search.front import FrontPoint, saved_percent
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Format, Role, Slot, SlotInfo


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


def report_markdown(
    view: StudyView,
    point: FrontPoint,
    slots: tuple[SlotInfo, ...],
    report: TrialReport | None,
    config: BundleConfig,
    precision_limit: float = AnalysisSettings.precision_limit,
) -> str:
    """The exported trial: objectives, formats and bytes per layer, analysis, arithmetic, neighbours on the front.

    `precision_limit`: the one that the study's analysis used.
    """
    on_front = any(member.number == point.number for member in view.front)
    objectives = config.objectives
    improvement = with_error(objectives.stoi_improvement, objectives.stoi_standard_error)
    kept = objectives.stoi_improvement / view.baseline.stoi_improvement if view.baseline.stoi_improvement > 0 else None
    lines = [
        f"# {view.name}, trial {point.number}" + (f" ({point.label})" if point.label else ""),
        "",
        f"- STOI improvement on the validation mixtures: {improvement} (standard error); "
        f"float32: {view.baseline.stoi_improvement:+.4f}" + ("" if kept is None else f", of which {kept:.1%} is kept"),
        f"- Memory of all parameters: {point.memory_bytes:,} bytes; float32: {view.baseline.memory_bytes:,} bytes, "
        f"{saved_percent(point.memory_bytes, view.baseline.memory_bytes):.1f} % saved",
        f"- {'On' if on_front else 'Not on'} the Pareto front of {len(view.front)} points "
        f"after {view.finished} finished trials",
        *_retraining_lines(config),
        "",
        "## Formats and bytes",
        "",
        "| layer | parameters | weights | biases | activations | bytes | float32 bytes |",
        "| --- | ---: | --- | --- | --- | ---: | ---: |",
    ]
    rows = layer_rows(slots, point.candidate)
    lines += [
        f"| {row.layer} | {row.parameters:,} | {' | '.join(f'`{fmt}`' for fmt in row.formats)} "
        f"| {row.memory_bytes:,} | {row.float_bytes:,} |"
        for row in rows
    ]
    count, size = sum(row.parameters for row in rows), sum(row.memory_bytes for row in rows)
    lines.append(f"| total | {count:,} | | | | {size:,} | {4 * count:,} |")
    if report is not None and report.analyses:
        lines += _analysis_section(report, precision_limit)
    lines += _arithmetic_section(config)
    lines += _verifying_section(config)
    lines += ["", "## Front", "", "| trial | STOI improvement | bytes | saved |", "| ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {'**' if m.number == point.number else ''}{m.number}{'**' if m.number == point.number else ''} "
        f"| {m.stoi_improvement:+.4f} | {m.memory_bytes:,} "
        f"| {saved_percent(m.memory_bytes, view.baseline.memory_bytes):.1f} % |"
        for m in view.front
    ]
    return "\n".join(lines) + "\n"


def _retraining_lines(config: BundleConfig) -> list[str]:
    if config.retraining is None:
        return []
    test = config.retraining.test
    return [
        f"- Retrained on all training data, {config.retraining.settings['epochs']} passes in each of the two steps. "
        "On test speakers and noises that no trial has heard: "
        f"{with_error(test.stoi_improvement, test.stoi_standard_error)}; float32: {test.float_improvement:+.4f}"
    ]


def _arithmetic_section(config: BundleConfig) -> list[str]:
    """Integers, C and the float model: how far they lie apart."""
    lines = ["", "## Integer arithmetic", ""]
    arithmetic = config.arithmetic
    if arithmetic is None:
        return [*lines, f"None: {config.no_arithmetic}."]
    last = arithmetic.layers[-1]
    lines += [
        f"The input is rounded to `{arithmetic.input_format}`; a code k of the output means "
        f"k · 2^{arithmetic.output_exponent}. `c/` and the integer reference give the same to the last bit. The QKeras "
        "model sums in float32, which rounds where integers do not:",
        "",
        f"- on {arithmetic.vectors:,} test frames {1 - last.unequal:.2%} of the outputs are equal, the others at most "
        f"{last.largest} {'step' if last.largest == 1 else 'steps'} apart;",
    ]
    if arithmetic.stoi_improvement is not None:
        off = arithmetic.stoi_improvement - config.objectives.stoi_improvement
        reached = f"{arithmetic.stoi_improvement:+.6f}, {off:+.1e} from the model's"
        lines += [f"- STOI improvement through the C code: {reached}."]
    return [
        *lines,
        "",
        "Differences in steps of each layer's format, from equal inputs of the layer and through the whole network:",
        "",
        "| layer | largest, equal inputs | share | largest, whole network | share |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {row.layer} | {row.largest_alone} | {row.unequal_alone:.2e} | {row.largest} | {row.unequal:.2e} |"
            for row in arithmetic.layers
        ),
    ]


def _verifying_section(config: BundleConfig) -> list[str]:
    """How to load the model and check the bundle."""
    ours = ["from wordlength import FormatQuantizer  # Keras must know the quantizers' class"]
    loading = ["import keras", "import qkeras", *(ours if config.needs_wordlength else [])]
    lines = ["", "## Loading and verifying", "", "```python", *loading, ""]
    lines += [
        'model = keras.models.load_model("qkeras_model.keras")  # (n, 16, 64) standardised log-Mel → (n, 129) mask'
    ]
    lines += ["```", "", "```sh", "sha256sum --check SHA256SUMS   # every file"]
    lines += ["make -C c check                # the C code on the test vectors"] if config.arithmetic else []
    lines += ["wordlength verify .            # everything again, STOI included", "```"]
    told = {"Quantizers of wordlength's own": config.needs_wordlength, "Wider in QKeras": config.wider_in_qkeras}
    for head, slots in told.items():
        if slots:
            lines += ["", f"{head}:", "", *(f"- `{slot}`: {why}" for slot, why in slots.items())]
    return lines


def _analysis_section(report: TrialReport, precision_limit: float) -> list[str]:
    rows, sums = report.last_analyses(), report.last_accumulators()
    told = findings(rows, sums, precision_limit)
    lines = ["", "## Fixed-point analysis after the last epoch", "", "Worst first:", ""]
    lines += [f"- {finding.sentence}" for finding in told]
    lines += ["", *_analysis_table(ranked(rows))]
    return lines + (["", "### Accumulators", "", *_accumulator_table(sums)] if sums else [])


def _analysis_table(rows: Iterable[LayerAnalysis]) -> list[str]:
    head = "| tensor | format | overflow | underflow | precision | zero gradient | largest | SQNR in dB |"
    return [
        head,
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row.slot} | `{row.format.brief}` | {row.overflow:.2%} | {row.underflow:.2%} | {row.precision:.2%} "
            f"| {row.zero_gradient:.2%} | {row.max_magnitude:.4g} | {row.sqnr_db:.1f} |"
            for row in rows
        ),
    ]


def _accumulator_table(rows: Iterable[Accumulator]) -> list[str]:
    return [
        "Bits of every exact sum: those that no input can overflow (worst), and those the data used.",
        "",
        "| layer | kernel | integer bits, worst | used | fraction bits | total bits, worst | used |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| `{layer}` | {' | '.join(cells)} |" for layer, *cells in map(accumulator_cells, rows)),
    ]


def accumulator_cells(row: Accumulator) -> tuple[str, ...]:
    """Layer, kernel, integer bits worst and used, fraction bits, total bits worst and used.

    "–" where unknown, and for used where all sums were 0.
    """
    silent = row.lowest_used == row.highest_used == 0
    used = (None, None) if silent else (row.integer_bits_used, row.bits_used)
    bits = (row.integer_bits_worst, used[0], row.fraction_bits, row.bits_worst, used[1])
    return row.layer, row.kernel, *("–" if number is None else str(number) for number in bits)


def with_error(value: float, standard_error: float | None) -> str:
    """A signed figure with its standard error, if known: "+0.0310 ± 0.0042"."""
    return f"{value:+.4f}" + ("" if standard_error is None else f" ± {standard_error:.4f}")


def _formats(candidate: Candidate, layer: str) -> Iterable[Format | None]:
    return (candidate.get(Slot(layer, role)) for role in Role)
