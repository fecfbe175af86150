"""The support matrix of guest-sdk/README.md: written from languages/support.toml and from what has passed."""

import difflib
import os
import re
import tomllib

from . import paths

SUPPORT = paths.ROOT / "tests" / "languages" / "support.toml"
PAGE = paths.ROOT / "guest-sdk" / "README.md"
# The languages, and what tests call them in their parameters.
LANGUAGES = {"Rust": "rust", "Python": "python", "JavaScript": "js", "Go": "go", "C": "c"}
BEGIN, END = "<!-- support matrix: `make test-e2e` holds it against what passes -->\n", "<!-- end -->\n"
WRITE = "MAINSPRING_WRITE_GOLDENS"


class Matrix:
    """Gathers how tests end."""

    def __init__(self, features: list[dict]):
        self._features = features
        self._passed: dict[str, bool] = {}

    def note(self, test: str, passed: bool) -> None:
        """A phase of a test, by pytest's id of it below tests/. It has passed when each phase has."""
        self._passed[test] = self._passed.get(test, True) and passed

    def missing(self) -> list[str]:
        """The tests that are named, and were not run."""
        return [name for feature in self._features for language in LANGUAGES for name in tests(feature, language) if not self._cases(name)]

    def files(self) -> set[str]:
        """Those that have named tests."""
        return {name.split("::")[0] for feature in self._features for language in LANGUAGES for name in tests(feature, language)}

    def files_run(self) -> set[str]:
        return {test.split("::")[0] for test in self._passed}

    def table(self) -> str:
        rows = [["", *LANGUAGES], ["---"] * (1 + len(LANGUAGES))]
        rows += [[feature["name"], *(self._cell(feature, language) for language in LANGUAGES)] for feature in self._features]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def _cases(self, name: str) -> list[str]:
        return [test for test in self._passed if test == name or test.startswith(f"{name}[")]

    def _cell(self, feature: dict, language: str) -> str:
        entry = feature.get(language, {})
        if names := tests(feature, language):
            passes = all(self._passed[test] for name in names for test in self._cases(name))
            return "; ".join(filter(None, ["yes" if passes else "FAILS", entry.get("note")]))
        if entry.get("unit"):
            return "yes, by unit tests"
        if entry.get("untested"):
            return "untested"
        return ": ".join(filter(None, ["no", entry["lacks"]]))


def load() -> Matrix:
    return Matrix(tomllib.loads(SUPPORT.read_text())["feature"])


def tests(feature: dict, language: str) -> list[str]:
    shared = [name.replace("{}", LANGUAGES[language]) for name in feature.get("shared", [])]
    return shared + feature.get(language, {}).get("by", [])


def difference(table: str) -> str:
    """What is wrong with the table on the page, which is written anew where the environment asks for that."""
    page = PAGE.read_text()
    found = re.search(re.escape(BEGIN) + "(.*?)" + re.escape(END), page, re.DOTALL)
    assert found, f"{PAGE.name} has no support matrix between {BEGIN.strip()!r} and {END.strip()!r}"
    if os.environ.get(WRITE):
        PAGE.write_text(page[: found.start(1)] + table + page[found.end(1) :])
        return ""
    return "".join(difflib.unified_diff(found[1].splitlines(True), table.splitlines(True), "on the page", "what passes"))
