"""wordlength: hyperparameter search for quantization formats.

Launch a study, look at its front, export the best config:

    from wordlength import export, launch, load_spec, load_study

    launch(load_spec(Path("examples/demo.yaml")))
    print(load_study("demo").front)
    export("demo", "knee", Path("best"))

Names are imported when first used, so that `import wordlength` stays quick.
"""

from typing import TYPE_CHECKING

from wordlength.lazy import lazy_names

if TYPE_CHECKING:
    from wordlength.errors import (
        DataError,
        FormatError,
        ModelError,
        SpecError,
        TrainingDiverged,
        WordlengthError,
        WorkerError,
    )
    from wordlength.objectives.audio import (
        CorpusSettings,
        DataSettings,
        FeatureSettings,
        PairSettings,
        PreparedData,
        RoomSettings,
        TargetSettings,
        prepare,
    )
    from wordlength.objectives.evaluate import Evaluator
    from wordlength.objectives.goals import ObjectiveSettings
    from wordlength.objectives.memory import memory_bytes
    from wordlength.objectives.models import IrmCnn, KerasFile, ModelSettings, QualityCnn, SpectrumDnn, UserModel
    from wordlength.objectives.quantized_model import QuantizedModel, quantize
    from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialJob, TrialReport, TrialState
    from wordlength.objectives.settings import AnalysisSettings, EvaluationSettings, GateSettings, TrainingSettings
    from wordlength.search.export.bundle import Exported, export
    from wordlength.search.front import FrontPoint, hypervolume, knee, pareto_front
    from wordlength.search.home import Home
    from wordlength.search.launch import launch
    from wordlength.search.listening.listen import Listened, listen
    from wordlength.search.observer import Observer
    from wordlength.search.study import load_study
    from wordlength.search.study_file.spec import StudySpec, load_spec
    from wordlength.search.study_front import Front
    from wordlength.search.trials import StudyView, TrialRow
    from wordlength.space.candidate import Candidate
    from wordlength.space.formats import (
        Binary,
        Fixed,
        Float32,
        Format,
        Overflow,
        PowerOfTwo,
        Rounding,
        VirtualBitShift,
        parse_format,
    )
    from wordlength.space.quantizers import FormatQuantizer
    from wordlength.space.search_space import SearchSpace
    from wordlength.space.slots import Role, Slot, SlotInfo, find_slots

_HOMES = {
    "wordlength.errors": [
        "DataError",
        "FormatError",
        "ModelError",
        "SpecError",
        "TrainingDiverged",
        "WordlengthError",
        "WorkerError",
    ],
    "wordlength.objectives.audio": [
        "CorpusSettings",
        "DataSettings",
        "FeatureSettings",
        "PairSettings",
        "PreparedData",
        "RoomSettings",
        "TargetSettings",
        "prepare",
    ],
    "wordlength.objectives.evaluate": ["Evaluator"],
    "wordlength.objectives.goals": ["ObjectiveSettings"],
    "wordlength.objectives.memory": ["memory_bytes"],
    "wordlength.objectives.models": [
        "IrmCnn",
        "KerasFile",
        "ModelSettings",
        "QualityCnn",
        "SpectrumDnn",
        "UserModel",
    ],
    "wordlength.objectives.quantized_model": ["QuantizedModel", "quantize"],
    "wordlength.objectives.report": ["Accumulator", "LayerAnalysis", "TrialJob", "TrialReport", "TrialState"],
    "wordlength.objectives.settings": ["AnalysisSettings", "EvaluationSettings", "GateSettings", "TrainingSettings"],
    "wordlength.search.export.bundle": ["Exported", "export"],
    "wordlength.search.front": ["FrontPoint", "hypervolume", "knee", "pareto_front"],
    "wordlength.search.home": ["Home"],
    "wordlength.search.launch": ["launch"],
    "wordlength.search.listening.listen": ["Listened", "listen"],
    "wordlength.search.observer": ["Observer"],
    "wordlength.search.study_file.spec": ["StudySpec", "load_spec"],
    "wordlength.search.study": ["load_study"],
    "wordlength.search.study_front": ["Front"],
    "wordlength.search.trials": ["StudyView", "TrialRow"],
    "wordlength.space.candidate": ["Candidate"],
    "wordlength.space.formats": [
        "Binary",
        "Fixed",
        "Float32",
        "Format",
        "Overflow",
        "PowerOfTwo",
        "Rounding",
        "VirtualBitShift",
        "parse_format",
    ],
    "wordlength.space.quantizers": ["FormatQuantizer"],
    "wordlength.space.search_space": ["SearchSpace"],
    "wordlength.space.slots": ["Role", "Slot", "SlotInfo", "find_slots"],
}
__all__ = [
    "Accumulator",
    "AnalysisSettings",
    "Binary",
    "Candidate",
    "CorpusSettings",
    "DataError",
    "DataSettings",
    "EvaluationSettings",
    "Evaluator",
    "Exported",
    "FeatureSettings",
    "Fixed",
    "Float32",
    "Format",
    "FormatError",
    "FormatQuantizer",
    "Front",
    "FrontPoint",
    "GateSettings",
    "Home",
    "IrmCnn",
    "KerasFile",
    "LayerAnalysis",
    "Listened",
    "ModelError",
    "ModelSettings",
    "ObjectiveSettings",
    "Observer",
    "Overflow",
    "PairSettings",
    "PowerOfTwo",
    "PreparedData",
    "QualityCnn",
    "QuantizedModel",
    "Role",
    "RoomSettings",
    "Rounding",
    "SearchSpace",
    "Slot",
    "SlotInfo",
    "SpecError",
    "SpectrumDnn",
    "StudySpec",
    "StudyView",
    "TargetSettings",
    "TrainingDiverged",
    "TrainingSettings",
    "TrialJob",
    "TrialReport",
    "TrialRow",
    "TrialState",
    "UserModel",
    "VirtualBitShift",
    "WordlengthError",
    "WorkerError",
    "export",
    "find_slots",
    "hypervolume",
    "knee",
    "launch",
    "listen",
    "load_spec",
    "load_study",
    "memory_bytes",
    "pareto_front",
    "parse_format",
    "prepare",
    "quantize",
]


__getattr__ = lazy_names("wordlength", _HOMES)
