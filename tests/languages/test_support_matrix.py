"""The support matrix says what passes, and nothing else. (That the page has it is checked when the session ends.)"""

from support.matrix import LANGUAGES, Matrix


def test_a_cell_says_yes_only_where_every_test_that_it_names_passed():
    feature = {"name": "timers", "shared": ["a.py::both[{}]"]}
    feature |= {"Go": {"by": ["a.py::go"], "note": "slowly"}, "C": {"by": ["a.py::c"]}}
    matrix = Matrix([feature])
    for language in LANGUAGES.values():
        matrix.note(f"a.py::both[{language}]", True)
    matrix.note("a.py::go[one]", True)
    assert matrix.missing() == ["a.py::c"]
    matrix.note("a.py::c", True)
    # Its teardown.
    matrix.note("a.py::c", False)
    assert matrix.missing() == []
    assert matrix.table().splitlines()[-1] == "| timers | yes | yes | yes | yes; slowly | FAILS |"
    matrix.note("a.py::go[two]", False)
    assert "FAILS; slowly" in matrix.table()


def test_what_no_test_shows_is_not_said_to_work():
    feature = {"name": "headers", "Rust": {"unit": True}, "Python": {"untested": True}, "JavaScript": {"lacks": ""}}
    feature |= {"Go": {"lacks": "not yet"}, "C": {"lacks": ""}}
    assert Matrix([feature]).table().splitlines()[-1] == "| headers | yes, by unit tests | untested | no | no: not yet | no |"
