"""Tables for people: nothing that somebody has to type again, or run to, is cut off."""

from io import StringIO

from rich.console import Console

from gateway.tables import alarm_table, aside_table

ROW = {
    "id": "smoke-building-7-flat-301/first-signal",
    "severity": "critical",
    "since": 0.0,
    "state": "unacknowledged",
    "stage": "district",
    "present": True,
    "until": None,
    "who": "Li",
    "why": "水泵维修",
    "text": {"zh": "7号楼1单元3层301室 301室感烟探测器：火警信号（未确认）", "en": "Fire signal, not yet confirmed"},
}


def shown(table, width):
    console = Console(file=StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_alarm_ids_stay_whole_on_a_narrow_terminal():
    """An id is copied into `gengfu ack`."""
    for table in (alarm_table([ROW]), aside_table([{**ROW, "state": "shelved"}])):
        assert ROW["id"] in shown(table, 100)


def test_a_place_is_folded_and_not_cut_off():
    """Every character of the Chinese text is there; an ellipsis would hide where it burns."""
    text = shown(alarm_table([ROW]), 80)
    assert "…" not in text
    assert set(ROW["text"]["zh"]) <= set(text)
