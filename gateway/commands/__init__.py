"""The commands of ``gengfu`` for people: typer for the arguments, rich for the tables. The daemon never imports this.

One file for each kind of command; this one is the list. A new command is a function in its file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from gateway.commands import apply, aside, callers, check, doctor, field, guard, init, library, live, peek, rules, site

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Gengfu 更夫, the night watchman: reads the compound's sensors, raises alarms on the spot, tells the district.",
)
pki = typer.Typer(no_args_is_help=True, help="Test certificates 测试证书 (not for production 不得用于生产).")
pki.command("init")(site.pki_init)

_PANELS: dict[str, tuple[tuple[str, Callable[..., None]], ...]] = {
    "A site file 站点文件": (
        ("init", init.init),
        ("check", check.check),
        ("rules", library.rules),
        ("test-rules", rules.try_rules),
    ),
    "The gateway 网关": (
        ("run", site.run),
        ("apply", apply.apply),
        ("status", live.status),
        ("alarms", live.alarms),
        ("read", live.read),
        ("doctor", doctor.doctor),
    ),
    "People on watch 值守人员": (
        ("ack", live.ack),
        ("reset", live.reset),
        ("silence", live.silence),
        ("shelve", aside.shelve),
        ("unshelve", aside.unshelve),
        ("out-of-service", aside.out_of_service),
        ("return-to-service", aside.return_to_service),
        ("partitions", guard.partitions),
        ("arm", guard.arm),
        ("disarm", guard.disarm),
        ("level", guard.level),
        ("duty-check", callers.duty_check),
    ),
    "The technician's tools 现场工具": (
        ("scan", field.scan),
        ("peek", peek.peek),
        ("discover", callers.discover),
        ("record", field.record),
        ("replay", field.replay),
        ("decode", site.decode),
    ),
    "For trials 试用": (("demo", site.demo),),
}

for _panel, _commands in _PANELS.items():
    for _name, _command in _commands:
        app.command(_name, rich_help_panel=_panel)(_command)
app.add_typer(pki, name="pki", rich_help_panel="For trials 试用")
