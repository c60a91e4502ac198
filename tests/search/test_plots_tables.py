"""The front as CSV and JSON."""

import csv
import io
import json
import math

from front_points import BASELINE, POWERS, SLOTS, alike_pair, cloud, study_of
from two_goals import front_point

from wordlength.search.front import hypervolume, pareto_front
from wordlength.search.plots import front_csv, front_figures
from wordlength.search.trials import StudyView, TrialRow


def read(view: StudyView):
    def refuse(name: str):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(json.dumps(front_figures(view)), parse_constant=refuse)


def test_csv_has_a_column_per_slot():
    rows = list(csv.reader(io.StringIO(front_csv(pareto_front(cloud()), BASELINE))))
    noise = ["stoi_standard_error", "baseline_difference", "baseline_difference_error", "indistinct_from"]
    assert rows[0][:5] == ["trial", "label", "stoi_improvement", "memory_bytes", "saved_percent"]
    assert rows[0][5:] == [*noise, *(str(slot) for slot in SLOTS)]
    assert rows[2][:5] == ["3", "", "0.021", "182143", "90.29"]
    assert rows[2][8:10] == ["", "fixed<6,-1>"]
    assert rows[3][1] == "uniform fixed<16,2>"
    assert len(rows) == 4
    assert front_csv((), BASELINE).startswith("trial,label,stoi_improvement,memory_bytes,saved_percent,")


def test_csv_names_neighbours_that_are_not_told_apart():
    rows = list(csv.reader(io.StringIO(front_csv(pareto_front(alike_pair()), BASELINE))))
    assert [row[8] for row in rows[1:]] == ["1", "0", ""]


def test_json_tells_the_study_and_its_front():
    found = read(study_of(cloud(), TrialRow(7, "pruned", POWERS), TrialRow(8, "running", None)))
    assert (found["study"], found["finished"], found["wanted"]) == ("klein", 8, 20)
    assert found["counts"] == {"complete": 7, "pruned": 1, "failed": 0, "running": 1, "interrupted": 0}
    assert found["baseline"] == {"stoi_improvement": 0.034, "memory_bytes": 1_875_812}
    assert found["hypervolume"] == hypervolume(cloud(), BASELINE)
    assert (found["smallest"], found["knee"], found["best"]) == (2, 3, 1)
    assert [member["trial"] for member in found["front"]] == [2, 3, 1]
    assert found["front"][2] == {
        "trial": 1,
        "label": "uniform fixed<16,2>",
        "stoi_improvement": 0.032,
        "stoi_standard_error": 0.0011,
        "baseline_difference": None,
        "baseline_difference_error": None,
        "memory_bytes": 937_906,
        "saved_percent": 50.0,
        "indistinct_from": [],
        "uniform": True,
        "paper": "the paper’s 3.13",
        "formats": {str(slot): "fixed<16,2>" for slot in SLOTS},
    }
    assert (found["front"][0]["uniform"], found["front"][0]["paper"]) == (False, None)


def test_json_names_neighbours_that_are_not_told_apart():
    assert [member["indistinct_from"] for member in read(study_of(alike_pair()))["front"]] == [[1], [0], []]


def test_json_of_a_study_without_a_complete_trial():
    found = read(study_of([]))
    assert found["front"] == []
    assert (found["knee"], found["best"], found["smallest"], found["hypervolume"]) == (None, None, None, 0.0)


def test_json_has_no_number_that_json_lacks():
    odd = front_point(0, 0.1, 1000, POWERS, "", math.nan, (), math.inf, -math.inf)
    member = read(study_of([odd]))["front"][0]
    assert [member[name] for name in ("stoi_standard_error", "baseline_difference")] == [None, None]
