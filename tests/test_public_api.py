"""The names that users import."""

import wordlength


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(wordlength.__all__) == list(wordlength.__all__)
    assert set(wordlength.__all__) == {name for names in wordlength._HOMES.values() for name in names}
    for name in wordlength.__all__:
        value = getattr(wordlength, name)
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring that dataclass makes"


def test_unknown_names_are_refused() -> None:
    assert not hasattr(wordlength, "no_such_name")
