"""A study's front as a value, and how a notebook shows both."""

import pickle
from xml.etree import ElementTree

import pytest
from front_points import MIXED, cloud, study_of

from wordlength import Front, StudyView
from wordlength.search.front import pareto_front, pick


def view_of(*points) -> StudyView:
    return study_of(points, name="<study>")


def cells(html: str) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in ElementTree.fromstring(html).iter("tr")]


def test_a_front_is_the_tuple_of_its_members_and_names_some() -> None:
    members = pareto_front(cloud())
    front = Front(members)
    assert front == members
    assert len(front) > 2
    assert (front.best, front.smallest) == (members[-1], members[0])
    assert front.knee == pick(members, "knee")
    assert front.pick("max-bytes=200kB") == pick(members, "max-bytes=200kB")
    assert isinstance(pickle.loads(pickle.dumps(front)), Front)
    assert isinstance(view_of(*cloud()).front, Front)


@pytest.mark.parametrize("name", ["knee", "best", "smallest"])
def test_an_empty_front_has_no_best(name: str) -> None:
    with pytest.raises(ValueError, match="a front needs at least one complete trial"):
        getattr(Front(), name)


def test_a_front_is_a_table_of_all_objectives_with_names() -> None:
    front = view_of(*cloud()).front
    heads, *rows = cells(front._repr_html_())
    assert heads == ["trial", "STOI improvement", "memory, bytes", ""]
    assert [row[0] for row in rows] == [str(point.number) for point in front]
    assert [row[2] for row in rows] == [f"{point.memory_bytes:,}" for point in front]
    named = {row[0]: row[3] for row in rows}
    assert "knee" in named[str(front.knee.number)]
    assert "best" in named[str(front.best.number)]
    assert "no trial is complete yet" in Front()._repr_html_()


def test_a_study_tells_its_state_escaped_and_shows_its_front() -> None:
    html = view_of(*cloud())._repr_html_()
    ElementTree.fromstring(html)
    assert "study &lt;study&gt;: 7 of 20 trials finished (7 complete)" in html
    assert "hypervolume" in html
    assert "no trial is complete yet" in view_of()._repr_html_()


def test_a_point_shows_its_formats() -> None:
    point = next(point for point in cloud() if point.candidate == MIXED)
    rows = cells(point._repr_html_())
    assert rows[1][-1] == f"{point.memory_bytes:,}"
    assert ["conv_1", "fixed<6,-1>", "fixed<6,-1>", "fixed<6,-1>"] in rows
