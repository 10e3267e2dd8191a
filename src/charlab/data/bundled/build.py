"""Builds `names.txt`, the bundled list of given names, from the person providers of Faker.

Run `python -m charlab.data.bundled.build` with the Faker version that README.md names: the file
comes out byte for byte the same. Nothing else in charlab imports this module or Faker.

Kept: given names in Latin script, of 2 to 24 characters, each one capitalised word, with
apostrophes or without. Left out: compounds such as Anna-Lena and José Luis, abbreviations, words of
the registers that are no names, glued names, and names with a letter that fewer than
`MIN_NAMES_PER_LETTER` names share, since no model can learn a letter from so few.
"""

import hashlib
import importlib
import pkgutil
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import faker
from faker.providers import person

MIN_LENGTH, MAX_LENGTH = 2, 24
MIN_NAMES_PER_LETTER = 20

# The whole register of Iceland, 3,742 names: a sixth of the list would be of one language.
SKIPPED_LOCALES = frozenset({"is_IS"})

# `first_names_female`, `first_romanized_names` and the like, not `first_name_pairs` (tuples).
ATTRIBUTE = re.compile(r"first_(romanized_)?names(_\w+)?")

# Registers hold what clerks wrote where there was no name, abbreviations and ranks.
WORDS = """
    Baby Babyboy Babygirl Infant Unknown Unnamed Male Female Man Son Sister Minor Nazi
    Wm Chas Geo Jas Jno Thos Benj Robt Saml Edw Jos Danl Fredk
    Doctor Lawyer General Colonel Commodore Captain Admiral Governor Senator Esquire Squire
    Sir Mister Miss Dom Say\u0131n
"""
NOT_NAMES = frozenset(WORDS.split())

APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bb\u02bc\u00b4`", "'"))


def raw_names() -> Iterator[str]:
    """Every given name of every locale, as Faker has it."""
    for module in pkgutil.iter_modules(person.__path__):
        if module.name in SKIPPED_LOCALES:
            continue
        provider = importlib.import_module(f"{person.__name__}.{module.name}").Provider
        for attribute, value in vars(provider).items():
            if ATTRIBUTE.fullmatch(attribute):
                yield from strings_of(value)


def strings_of(value: Any) -> Iterable[str]:
    """The names of a list, a tuple or a dict of weights; none of a property, it repeats others."""
    return value if isinstance(value, list | tuple | dict) else ()


def cleaned(raw: str) -> str:
    """NFC, one kind of apostrophe, no white space around, title case where all is in capitals."""
    name = unicodedata.normalize("NFC", raw).translate(APOSTROPHES).strip()
    return name.capitalize() if name.isupper() else name


def is_latin(letter: str) -> bool:
    return letter.isalpha() and unicodedata.name(letter).startswith("LATIN ")


def is_word(word: str) -> bool:
    """True for `Zoë`, `O'Neal`, `Ng'ang'a`, `D'angelo`: one capital, unless an apostrophe comes."""
    first, *rest = word.split("'")
    return (
        all(part and all(map(is_latin, part)) for part in (first, *rest))
        and first[0].isupper()
        and not any(letter.isupper() for letter in first[1:])
        and all(part == part.lower() or part == part.capitalize() for part in rest)
    )


def is_name(name: str) -> bool:
    return MIN_LENGTH <= len(name) <= MAX_LENGTH and name not in NOT_NAMES and is_word(name)


def without_rare_letters(names: set[str]) -> set[str]:
    """Drops names with a rare letter until every letter left is in enough names."""
    while True:
        num_names = Counter(letter for name in names for letter in set(name) if letter.isalpha())
        rare = {letter for letter, count in num_names.items() if count < MIN_NAMES_PER_LETTER}
        if not rare:
            return names
        names = {name for name in names if rare.isdisjoint(name)}


def build() -> list[str]:
    names = {name for name in map(cleaned, raw_names()) if is_name(name)}
    return sorted(without_rare_letters(names))


def main() -> None:
    names = build()
    data = "".join(f"{name}\n" for name in names).encode()
    Path(__file__).with_name("names.txt").write_bytes(data)
    print(f"Faker      {faker.VERSION}")
    print(f"names      {len(names)}")
    print(f"characters {len(set(''.join(names)))}")
    print(f"sha256     {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
