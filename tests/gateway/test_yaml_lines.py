"""Strict YAML with line numbers: `gateway.site.yaml_lines`."""

import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.site import yaml_lines

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    # PyYAML writes by YAML 1.1 and leaves the quotes from some texts that are numbers in 1.2, such as 0E0.
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20).filter(
        lambda text: text[:1] not in set("+-.0123456789")
    ),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz-_ é中", max_size=8), inner, max_size=4),
    max_leaves=20,
)


def parse(text):
    return yaml_lines.parse(text.encode() if isinstance(text, str) else text, "f.yaml")


def refused(text):
    """The one mistake for which the whole file is refused."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    (mistake,) = caught.value.mistakes
    assert mistake.en
    assert mistake.zh
    return mistake


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        *((word, word) for word in ("yes", "no", "on", "off", "y", "n", "True", "FALSE", "1_000", "12:30:00", "0x")),
        ("2026-11-22", "2026-11-22"),
        ("<<", "<<"),
        ("~", None),
        ("null", None),
        ("0103", 103),
        ("-7", -7),
        ("0x40", 64),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("9" * 100_000, "9" * 100_000),
        ("'true'", "true"),
        ('"12"', "12"),
        ("'~'", "~"),
    ],
)
def test_scalars_are_those_of_yaml_1_2_and_always_finite(written, value):
    """`no` and `on` stay texts; a number that no field could hold stays a text and is refused there."""
    found = parse(f"a: {written}").value["a"]
    assert found == value
    assert type(found) is type(value)


@given(VALUES)
def test_what_a_yaml_writer_writes_is_read_back(value):
    """PyYAML's own writer, which quotes all that could be mistaken, is the oracle."""
    text = yaml.safe_dump({"top": value}, allow_unicode=True)
    assert parse(text).value == {"top": value}


def test_every_value_has_the_line_of_its_key_or_item():
    """Lines are 1-based; a value that is missing has the line of what is around it."""
    document = parse("a:\n  b:\n    - 1\n\n    - c: 2\n      d:\n        3\n")
    assert [document.line(keys) for keys in [("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1, "d")]] == [1, 2, 3, 6]
    assert document.line(("a", "b", 1, "d", "missing")) == 6
    assert document.line(("nothing",)) == 1


def test_windows_line_ends_and_a_byte_order_mark_do_not_shift_lines():
    """What Notepad saves is read, with the lines that Notepad shows."""
    document = parse(b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 2\r\n")
    assert document.value == {"a": 1, "b": {"c": 2}}
    assert document.line(("b", "c")) == 3


def test_all_of_duplicates_tags_anchors_and_odd_keys_are_told_at_once():
    """None of them stops the reading; the first of two equal keys counts."""
    document = parse("a: 1\na: {b: *x}\nc: *x\nd: !!str e\n? [f]\n: g\ntrue: h\n? !t i\n: j\nk: l\n")
    told = [(mistake.line, mistake.path) for mistake in document.mistakes]
    assert told == [(2, "a"), (3, "c"), (4, "d"), (5, ""), (7, ""), (8, "")]
    assert document.value == {"a": 1, "c": None, "d": "e", "k": "l"}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: [" + "1," * 300_000])
def test_what_would_exhaust_the_machine_is_refused(text):
    """yaml.compose kills the process on the first of these."""
    assert refused(text).en == "nested too deeply, or too many values"


def test_keys_in_keys_are_skipped_however_deep():
    """A key that is no text is one mistake, and nothing in it is looked at."""
    (mistake,) = parse("? " * 5_000).mistakes
    assert "a key must be text" in mistake.en


def test_a_file_made_of_mistakes_is_given_up():
    """Time and output are bounded; the last mistake says so."""
    with pytest.raises(ConfigError) as caught:
        parse("a: b\n" * 400_000)
    assert len(caught.value.mistakes) == yaml_lines.LIMIT_MISTAKES + 1
    assert "not looked at" in caught.value.mistakes[-1].en


def test_a_file_over_the_limit_is_refused(tmp_path):
    """Not even its tail is read."""
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (yaml_lines.LIMIT_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 2 MiB"):
        yaml_lines.read(path)


@pytest.mark.parametrize(
    ("text", "line", "en"),
    [
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a: 'b\nc: d\n", 1, "not closed"),
        ("a: [1, 2\nb: 3\n", 2, "lacks its"),
        ("a: 1\n  b: 2\n", 2, "cannot stand here"),
        ("a: 1\nb\nc: 2\n", 3, "is missing"),
        ("a: @b\n", 1, "quotes"),
        ("a: 1\n---\nb: 2\n", 2, "one YAML document"),
        ("名称：甲\na: 1\n", 2, "full-width"),
        ("a: 1\nb: \x1b\n", 2, "U+001B"),
        ("a: 1\nb: c\u2028d\n", 2, "U+2028"),
        (b"a: 1\nb: \xd6\xd0\n", 2, "GBK"),
        ("a: !h!x 1\n", 1, "tags"),
    ],
)
def test_a_file_that_is_no_yaml_is_one_mistake_with_its_line(text, line, en):
    """The words are for people who do not know what a scanner is."""
    mistake = refused(text)
    assert (mistake.file, mistake.line) == ("f.yaml", line)
    assert en in mistake.en


def test_what_is_no_readable_file_is_a_mistake(tmp_path):
    """Missing, a directory, a pipe (which would block for ever), a name that no file can have."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, en in [
        ("missing", "No such file"),
        (".", "directory"),
        ("pipe", "regular"),
        ("loop", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("n" * 300, "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=en):
            yaml_lines.read(tmp_path / name)


@given(st.binary(max_size=200) | st.text("ab:-{}[]&*!|>'\"#%@\\ \n\t0.？：é", max_size=120).map(str.encode))
def test_only_config_errors_escape_whatever_the_bytes_are(data):
    """A value comes out, with a line for it, or mistakes that have words in both languages."""
    try:
        found = yaml_lines.parse(data, "f.yaml").mistakes
    except ConfigError as error:
        found = error.mistakes
    lines = data.count(b"\n") + data.count(b"\r") + 1
    assert all(1 <= mistake.line <= lines and mistake.en and mistake.zh for mistake in found)
