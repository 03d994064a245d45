"""The pages say nothing that is not there: links, commands, options, YAML, pictures, and both languages where promised."""

import html
import re
from pathlib import Path

import pytest
import typer
import yaml
from rich.cells import cell_len

from docs import pictures
from gateway.commands import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "hil_tests" / "README.md"])
ON_SITE = [
    "first-hour.md",
    "responders.md",
    "operators.md",
    "install.md",
    "tools.md",
    "gateway-faults.md",
    "metrics.md",
]
CHINESE = re.compile("[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{3,} [A-Za-z]{2,}")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMANDS = typer.main.get_command(app).commands

TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def anchors(page):
    """As GitHub makes them of headings, and those that are written out."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", head.replace("`", "").strip().lower()).replace(" ", "-") for head in heads}
    return made | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


@pages
def test_every_link_leads_somewhere(page):
    """Files and headings; what is on the web is not asked."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}: {anchors(there)}"


@pages
def test_yaml_blocks_can_be_read(page):
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "yaml":
            assert yaml.safe_load(block) is not None, page.name


def typed(page):
    """The commands in the code of a page: the words after `gengfu`."""
    text = page.read_text(encoding="utf-8")
    code = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    code += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    for line in code:
        for words in re.findall(r"(?:^|[$&;] *|sudo )(?:\.venv/bin/)?gengfu ([a-z][^#|&;<]*)", line.strip()):
            yield words.split()


@pages
def test_every_command_and_option_exists(page):
    for name, *rest in typed(page):
        assert name.rstrip(",:") in COMMANDS, f"{page.name}: gengfu {name}"
        command = COMMANDS[name.rstrip(",:")]
        if command.name == "pki":  # a group of commands
            continue
        known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        for word in rest:
            option = word.strip("`[](),.").partition("=")[0]
            if re.fullmatch(r"--?[a-z][a-z-]*", option):
                assert option in known | {"--help"}, f"{page.name}: gengfu {name} {option}"


def test_the_pictures_are_there_and_fetch_nothing():
    """Each is shown on its page, of a command that exists, and names no address but that of the SVG standard."""
    page = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
    for shot in pictures.ALL:
        svg = (pictures.PICTURES / f"{shot.name}.svg").read_text(encoding="utf-8")
        assert f"(first-hour/{shot.name}.svg)" in page
        assert shot.typed.split()[1] in COMMANDS
        assert set(re.findall(r"https?://[^\s\"'<]+", svg)) <= {
            "http://www.w3.org/2000/svg",
            "https://www.textualize.io",
        }
        assert "@font-face" not in svg
        assert "@import" not in svg
    assert {path.stem for path in pictures.PICTURES.glob("*.svg")} == {shot.name for shot in pictures.ALL}


@pytest.mark.parametrize("name", ON_SITE)
def test_who_is_on_site_reads_it_in_either_language(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert len(CHINESE.findall(text)) > 100
    assert len(ENGLISH.findall(text)) > 20


def test_both_readmes_lead_to_the_same_pages():
    """The Chinese one is no poorer."""
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    targets = [set(LINK.findall(text)) - {"README.md", "README.zh.md"} for text in (english, chinese)]
    assert targets[0] == targets[1]
    assert len(re.findall("^## ", english, re.MULTILINE)) == len(re.findall("^## ", chinese, re.MULTILINE))


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda path: path.stem)
def test_chinese_in_a_picture_has_room(picture):
    """Two cells a character; with one, as rich measures it, a browser presses it into half of its width."""
    text = picture.read_text(encoding="utf-8")
    runs = re.findall(r'textLength="([^"]*)" [^>]*>([^<]*)', text)
    assert any(CHINESE.search(run) for _, run in runs)
    for length, run in runs:
        assert float(length) == pytest.approx(12.2 * cell_len(html.unescape(run)), abs=0.1), run


@pages
def test_every_test_and_file_of_the_tree_that_is_named_exists(page):
    """What is claimed is claimed of a test that runs."""
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"`(test_\w+)`", text))
    assert not {name for name in names if not re.search(rf"def {name}\b", TESTS)}, page.name
    for path in re.findall(r"`((?:tests|examples|systemd|rules|docs)/[\w./-]*\w)`", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"
