"""Write analysis.json anew: only when a figure's definition has changed, and look at the difference.

.venv/bin/python tests/golden/make_analysis.py
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "objectives"))

from wordlength.objectives.quiet import start_tensorflow

start_tensorflow(threads=1, verbose=False)


def main() -> None:
    from test_analysis import CANDIDATES, GOLDEN, Study, inputs_at_random

    inputs = inputs_at_random()
    study = Study(inputs)
    analyses = [
        {
            "candidate": candidate.to_dict(),
            "step": step,
            "figures": {
                str(slot): {"figures": row.figures, "histogram": row.histogram}
                for slot, row in study.analyse(candidate, step).items()
            },
        }
        for candidate in CANDIDATES
        for step in (1, 2)
    ]
    GOLDEN.write_text(json.dumps({"inputs": inputs, "analyses": analyses}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
