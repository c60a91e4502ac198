"""What can go wrong, as a tree:

    WordlengthError
    ├── FormatError        a format's numbers or text                       (ValueError)
    ├── ModelError         a layer that no format can be given to           (ValueError)
    ├── DataError          a corpus or an audio file                        (ValueError)
    ├── SpecError          a study file, a study's name, a command's option (ValueError)
    ├── WorkerError        Ray cannot give what the study asks for
    ├── ServerError        MLflow's server does not start
    ├── IntegerError       a network that integers of at most 64 bits cannot compute exactly  (ValueError)
    ├── BundleError        an exported bundle that is incomplete, damaged or not what it says   (ValueError)
    ├── ArchiveError       a study's archive that is incomplete, damaged or not what it says    (ValueError)
    └── TrainingDiverged   a loss or weight is no longer finite

Every message is one line that names the rule, the value and the place.
"""


class WordlengthError(Exception):
    """Anything that wordlength refuses or cannot do, told in one line."""


class FormatError(WordlengthError, ValueError):
    """A format's numbers or its text break a rule; the message names rule and value."""


class ModelError(WordlengthError, ValueError):
    """A Keras model holds something that no format can be given to; the message names the layer."""


class DataError(WordlengthError, ValueError):
    """A corpus, an audio file or a data setting breaks a rule; the message names rule, value and place."""


class SpecError(WordlengthError, ValueError):
    """A study file, a study's name or a command's option breaks a rule; the message names rule, value and place."""


class WorkerError(WordlengthError):
    """Ray cannot give what the study asks for."""


class ServerError(WordlengthError):
    """MLflow's server ended or did not answer in time; the message ends with its last words."""


class IntegerError(WordlengthError, ValueError):
    """Integers of at most 64 bits cannot compute a network exactly; the message names the layer."""


class BundleError(WordlengthError, ValueError):
    """An exported bundle is incomplete, damaged or not what it says; the message names the file and the difference."""


class ArchiveError(WordlengthError, ValueError):
    """A study's archive is incomplete, damaged or not what it says; the message names the file and the member."""


class TrainingDiverged(WordlengthError):
    """A loss, a weight or an output stopped being a finite number; the message says where."""


def first_line(error: BaseException, otherwise: str = "") -> str:
    """What an error says, in one line; where it says nothing, `otherwise`, or what it is called."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), otherwise or type(error).__name__)


def named(error: BaseException) -> str:
    """An error of code that is not ours, in one line: `ValueError: no such axis`."""
    return f"{type(error).__name__}: {first_line(error, 'no message')}"
