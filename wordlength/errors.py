"""What can go wrong, as a tree:

    WordlengthError
    ├── FormatError        a format's numbers or text                       (ValueError)
    ├── ModelError         a layer that no format can be given to           (ValueError)
    ├── DataError          a corpus or an audio file                        (ValueError)
    ├── SpecError          a study file, a study's name, a command's option (ValueError)
    ├── WorkerError        Ray cannot give what the study asks for
    ├── ServerError        MLflow's server does not start             (RuntimeError)
    └── TrainingDiverged   a loss or weight is no longer finite

Every message is one line that names the rule, the value and the place.
"""


class WordlengthError(Exception):
    """Anything that wordlength refuses or cannot do, told in one line."""
