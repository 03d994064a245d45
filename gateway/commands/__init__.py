"""The commands of ``gengfu`` for people: typer for the arguments, rich for the tables. The daemon never imports this.

One file for each kind of command; this one is the list. A new command is a function in its file and a line here.
"""

from __future__ import annotations

import typer

from gateway.commands import apply, aside, callers, check, doctor, field, guard, init, library, live, peek, rules, site

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Gengfu 更夫, the night watchman: reads the compound's sensors, raises alarms on the spot, tells the district.",
)
pki = typer.Typer(no_args_is_help=True, help="Test certificates 测试证书 (not for production 不得用于生产).")
pki.command("init")(site.pki_init)

app.command()(site.run)
app.command()(init.init)
app.command()(check.check)
app.command()(apply.apply)
app.command()(site.demo)
app.command("rules")(library.rules)
app.command("test-rules")(rules.try_rules)
app.command()(doctor.doctor)
app.add_typer(pki, name="pki")
app.command()(live.status)
app.command()(live.alarms)
app.command()(live.ack)
app.command()(live.reset)
app.command()(live.silence)
app.command()(aside.shelve)
app.command()(aside.unshelve)
app.command("out-of-service")(aside.out_of_service)
app.command("return-to-service")(aside.return_to_service)
app.command()(guard.partitions)
app.command()(guard.arm)
app.command()(guard.disarm)
app.command()(guard.level)
app.command()(live.read)
app.command()(field.scan)
app.command()(peek.peek)
app.command()(field.record)
app.command()(field.replay)
app.command()(callers.discover)
app.command("duty-check")(callers.duty_check)
app.command()(site.decode)
