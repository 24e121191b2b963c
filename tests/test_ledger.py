"""The ledger's map is honest: clauses and tests that it names exist, and this version keeps what it promises."""

import re

from tests.ledger import ROOT, clauses, existing_tests, mapping

IN_SCOPE = """A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 A17 A18 A19 A20 A21 A22
B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 B14 B15 B16 B17 B18 B19 B20 B21 B22
C1 C2 C3 C4 C5 C6 C8 C9 C10 C11 C12 C13 C14
D1 D2 D3 D4 D5 D6 D8 D9
E1 E3 E7 E8 E9
F1 F2 F3 F4 F5 F6 F7 F8 F9 F11 F12 F13 F21 F22 F23 F25 F27 F28 F29
G1 G2 G3 G4 G5 G6 G7 G8 G9 G10 G11 G12 G13 H1 H2 H3 H4 H6 H8 I1 I2 I3 I4 I8 I9""".split()  # noqa: SIM905 - read as a block


def test_clauses_are_numbered_without_gaps() -> None:
    found = clauses()
    for letter in "ABCDEFGHI":
        numbers = [clause for clause in found if clause.startswith(letter)]
        assert numbers == [f"{letter}{number}" for number in range(1, len(numbers) + 1)]
    assert len(found) == 141


def test_guide_has_every_clause_once() -> None:
    found: list[str] = []
    for row in re.findall(r"^\| ([A-I]\d.*?) \|", (ROOT / "docs" / "production-guide.md").read_text(), re.MULTILINE):
        for part in row.split(", "):
            first, _, last = part.partition(" to ")
            numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
            found += [f"{first[0]}{number}" for number in numbers]
    assert sorted(found) == sorted(clauses())


def test_mapped_clauses_are_in_the_ledger() -> None:
    assert not mapping().keys() - set(clauses())


def test_mapped_tests_exist() -> None:
    existing = existing_tests()
    for clause, ids in mapping().items():
        assert ids, f"{clause} has no tests: leave it out"
        assert len(ids) == len(set(ids)), f"{clause} names a test twice"
        assert not set(ids) - existing, f"{clause} names tests that do not exist: {sorted(set(ids) - existing)}"


def test_what_this_version_promises_is_mapped() -> None:
    missing = [clause for clause in IN_SCOPE if clause not in mapping()]
    assert not missing, f"clauses without a test: {' '.join(missing)}"
