"""tools/mutants.py: each seeded bug still has its place, and tests that exist."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.postgres import PROJECT
from tools.mutants import apply, chosen
from tools.mutations import MUTANTS, Change, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_place_is_there_and_what_becomes_of_it_can_be_read(mutant: Mutant, tmp_path: Path) -> None:
    for file in {change.file for change in mutant.changes}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / file, tmp_path / file)
    apply(mutant, tmp_path)
    for change in mutant.changes:
        text = (tmp_path / change.file).read_text()
        assert text != (PROJECT / change.file).read_text()
        if change.file.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_it_names_are_there(mutant: Mutant) -> None:
    file, _, name = mutant.tests[0].partition("::")
    function = name.rpartition("::")[2]
    assert f"def {function}(" in (PROJECT / file).read_text() if name else (PROJECT / file).is_file()


def test_no_two_have_one_name_and_there_are_enough() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


def test_a_place_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one = 1\none = 1\n")
    with pytest.raises(ValueError, match=r"a\.py has the text to be changed 2 times, expected once"):
        apply(Mutant("x", (Change("a.py", "one = 1", "one = 2"),), ()), tmp_path)


def test_they_are_chosen_by_words_of_their_names() -> None:
    assert [mutant.name for mutant in chosen(["NUL"])] == ["a NUL character is not refused"]
    assert chosen([]) == list(MUTANTS)
