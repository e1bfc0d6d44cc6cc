"""Files of many-body potentials: what is missing, cut, of another style or in other units is refused by name."""

import pytest

from mdzoo.data.parameter_files import with_file
from mdzoo.data.parameter_files.stillinger_weber import read_sw
from mdzoo.data.parameter_files.tersoff import read_tersoff, read_tersoff_mod
from tests.reference.many_body import potential_file

SI = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 # original\n  7.049556277 0.6022245584 4.0 0.0 0.0\n"
GE = SI.replace("Si", "Ge")


def write(tmp_path, text):
    path = tmp_path / "file"
    path.write_text(text)
    return path


def test_entries_go_over_lines_and_others_are_passed_over(tmp_path):
    table = read_sw(write(tmp_path, f"# DATE: 2007-06-11 UNITS: metal\n\n{GE}{SI}"), ["Si"])
    assert table["epsilon"] == pytest.approx(2.1683)
    assert table["lambda3"] == pytest.approx(21.0)
    assert table["q"] == 0.0


def test_a_term_takes_the_numbers_of_its_file(tmp_path):
    path = write(tmp_path, SI.replace("2.0951", "2.2"))
    term = {"name": "StillingerWeber", "sigma": 2.0, "cutoff": None, "trainable": ["sigma"]}
    table = with_file({**term, "file": str(path)}, [14])
    assert table["sigma"] == 2.2
    assert table["trainable"] == ["sigma"]
    assert "file" not in table
    assert with_file({**term, "file": None}, [14]) == term


PAIR = SI + GE + "".join(SI.replace("Si Si Si", kinds) for kinds in ("Si Si Ge", "Si Ge Si", "Si Ge Ge"))
PAIR += "".join(SI.replace("Si Si Si", kinds) for kinds in ("Ge Si Si", "Ge Ge Si", "Ge Si Ge"))


@pytest.mark.parametrize(
    ("read", "text", "elements", "message"),
    [
        (read_sw, SI, ["Ge"], r"`file` must hold an entry for each triple of \['Ge'\], got none for Ge Ge Ge in .*Si"),
        (read_sw, SI + GE, ["Si", "Ge"], r"got none for Si Si Ge, Si Ge Si, .* which knows \['Ge', 'Si'\]; add them"),
        (read_sw, SI + SI, ["Si"], r"`file` must hold each entry once, got Si Si Si twice in .*; take one of them out"),
        (read_sw, SI[:-5], ["Si"], r"`file` must hold entries of 14 words, .* got 'Si Si Si .*style or version of LAM"),
        (read_tersoff_mod, SI, ["Si"], r"; it is of sw, whose entries have 14 words"),
        (
            read_sw,
            "Si Si Si " + 17 * "1.0 " + "\nC C C " + 17 * "1.0 ",
            ["Si"],
            r"it is of tersoff/mod or edip, whose entries have 20 words",
        ),
        (
            read_tersoff,
            SI,
            ["Si"],
            r"`file` must hold entries of 17 words, three elements and numbers, got 'Si Si Si 2",
        ),
        (read_tersoff_mod, "# nothing\n", ["Si"], r"`file` must hold entries of 20 words.* got 'nothing'"),
        (read_sw, SI.replace("21.0", "x"), ["Si"], r"`file` must hold numbers behind three elements, got 'x' in"),
        (
            read_sw,
            "# UNITS: real\n" + SI,
            ["Si"],
            r"`file` must be in units metal \(eV, Angstrom\), got real in .*; con",
        ),
        (read_sw, SI.replace("0.0 0.0", "0.0 0.01"), ["Si"], r"`tol` must be 0, got 0.01 in .*; set it to 0"),
        (
            read_sw,
            PAIR.replace("Ge Si Si 2.1683 2.0951", "Ge Si Si 2.1683 2.2"),
            ["Si", "Ge"],
            r"`sigma` must be alike for both orders of two elements, got .*; LAMMPS takes either, as the atoms are num",
        ),
    ],
)
def test_bad_files_get_a_clear_error(tmp_path, read, text, elements, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, text), elements)


def test_a_file_that_is_not_there_or_not_wanted():
    with pytest.raises(
        ValueError, match=r"`file` must be a parameter file, got 'no.sw', which is not there; check the"
    ):
        with_file({"name": "StillingerWeber", "file": "no.sw"}, [14])
    with pytest.raises(ValueError, match=r"`file` must be for one of \[.*'Tersoff'.*\], got one for D3; give numbers"):
        with_file({"name": "D3", "file": "no.d3"}, [14])


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("Si.sw", "Tersoff", r"got '.*Si.sw', which is of pair_style sw; take StillingerWeber"),
        ("Si.tersoff.mod", "Tersoff", r"which is of pair_style tersoff/mod; take TersoffMod"),
        ("Si.tersoff.modc", "TersoffMod", r"which is of pair_style tersoff/mod/c; mdzoo has no such potential"),
        (
            "SiC.gw",
            "Tersoff",
            r"`file` must be one for Tersoff, got '.*SiC.gw', which is of pair_style gw; mdzoo has no",
        ),
        ("SiC.tersoff.zbl", "Tersoff", r"which is of pair_style tersoff/zbl; mdzoo"),
        ("tmd.sw.mod", "StillingerWeber", r"which is of pair_style sw/mod; mdzoo"),
        ("PdHHe.eam.he", "EAM", r"which is of pair_style eam/he; mdzoo"),
        ("AlCu.adp", "EAM", r"which is of pair_style adp; mdzoo"),
    ],
)
def test_published_files_of_other_styles_are_named(tmp_path, file, name, message):
    """Those of LAMMPS itself where it is installed; their names tell."""
    path = potential_file(file)
    with pytest.raises(ValueError, match=message):
        with_file({"name": name, "file": str(path)}, [14])


def test_files_of_other_styles_are_told_by_what_they_hold(tmp_path):
    for file, message in (("PdHHe.eam.he", "such as eam/he with six"), ("AlCu.adp", "; it is of adp")):
        path = tmp_path / "renamed"
        path.write_bytes(potential_file(file).read_bytes())
        with pytest.raises(ValueError, match=message):
            with_file({"name": "EAM", "file": str(path)}, [46 if "Pd" in file else 13])
