"""Tables for people: nothing that somebody has to type again, or run to, is cut off."""

from io import StringIO

from rich.console import Console

from gateway.tables import alarm_table, aside_table, part_tables

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


PARTS = {
    "alarms": {"flood": False, "new_10min": 2, "counted_s": 8.125},
    "bus box": {
        "busy": 0.25,
        "bus": {"up": False, "requests": 7, "timeouts": 2, "bad_frames": 1, "losses": 3, "why": "cable [bold]\x1b[31m"},
        "devices": {"lift": [{"group": "safety", "up": False}, {"group": "car", "up": True}]},
    },
    "bus calls": {"up": True, "connections": 4, "devices": {}},
    "journal alarm": {
        "failing_since": 12.0, "why": "disk full", "used_bytes": 2**20, "quota_bytes": 2**26, "last": 9, "waiting": 3,
        "dropped": {"quota": 2},
    },
    "uplink district": {
        "connected": False, "refused": True, "error": "certificate", "tls": "", "alarm_backlog": 5, "unsettled": 6,
        "refused_records": {"0x87": 1},
    },
}  # fmt: skip


def drawn(tables):
    return "".join(shown(table, 200) for table in tables)


def test_parts_are_told_as_tables_and_not_as_a_dump():
    text = drawn(part_tables(PARTS))
    for words in ("中断 down", "25%", "lift/safety", "4 个呼入", "故障 failing", "disk full", "1.0 / 64 MiB", "quota 2",
                  "被拒绝 refused", "0x87 1", "new_10min 2"):  # fmt: skip
        assert words in text
    assert "lift/car" not in text
    assert "{" not in text


def test_what_an_error_says_gives_the_terminal_no_orders():
    text = drawn(part_tables(PARTS))
    assert "\x1b" not in text
    assert "[bold]" in text


def test_kinds_of_which_there_is_none_have_no_table():
    assert len(part_tables({"alarms": {"flood": True}})) == 1
