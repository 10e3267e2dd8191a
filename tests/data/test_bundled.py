"""The script that builds the bundled list of names; needs Faker (pip install charlab[bundle])."""

import unicodedata

import pytest

from charlab.data.names import BUNDLED

faker = pytest.importorskip("faker")
build = pytest.importorskip("charlab.data.bundled.build")


@pytest.mark.skipif(faker.VERSION != "40.54.0", reason="the list is of Faker 40.54.0")
def test_the_bundled_list_is_built_byte_for_byte():
    assert "".join(f"{name}\n" for name in build.build()).encode() == BUNDLED.read_bytes()


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (" Gracia ", "Gracia"),
        ("CHIARA", "Chiara"),
        ("Sa\u2019adatu", "Sa'adatu"),
        (unicodedata.normalize("NFD", "Zoë"), "Zoë"),
    ],
)
def test_names_are_brought_into_one_form(raw, name):
    assert build.cleaned(raw) == name
    assert build.is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "Hans D.",
        "H.-Dieter",
        "COmfort",
        "ObaniJesu",
        "Tahaw-wur",
        "anna",
        "Иван",
        "Wm",
        "Ann-",
        "Chia-Hao",
        "Alta Gracia",
    ],
)
def test_what_is_no_name_is_left_out(name):
    assert not build.is_name(name)


def test_rare_letters_go_until_none_is_left():
    # Dropping the names with a rare "q" makes "z" rare, which takes the last names with it.
    common = {f"A{letter}" for letter in "bcdefghijklm"}
    common |= {f"{name}{other}" for name in common for other in "bcdefghijklm"}
    glued = {"Aqz"} | {f"Az{letter}" for letter in "bcdefghij"}
    assert build.without_rare_letters(common | glued) == common
