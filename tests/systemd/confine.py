"""Applies to itself what systemd applies to the service, then becomes the command: ``confine.py LIMITS.json COMMAND…``.

No new privileges, MemoryDenyWriteExecute=, SystemCallFilter= and RestrictAddressFamilies=, by prctl and libseccomp.
Standard library only, for any Python; it runs as the service's user inside `world.sh`.
"""

import ctypes
import json
import os
import socket
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
ALLOW, REFUSE_EPERM = 0x7FFF0000, 0x00050001
EQUAL = 4


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def confine(calls, families):
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    must(libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0), "memory-deny-write-execute")
    rules = ctypes.c_void_p(seccomp.seccomp_init(REFUSE_EPERM))
    for name in calls:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0 and name != "socket":  # others do not exist on this machine
            must(seccomp.seccomp_rule_add_array(rules, ALLOW, number, 0, None), name)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        only = Compare(0, EQUAL, int(getattr(socket, family)), 0)
        must(seccomp.seccomp_rule_add_array(rules, ALLOW, number, 1, ctypes.byref(only)), family)
    must(seccomp.seccomp_load(rules), "seccomp_load")


def must(result, what):
    if result:
        sys.exit(f"confine: {what}: {result}, errno {ctypes.get_errno()}")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        limits = json.load(file)
    confine(limits["calls"], limits["families"])
    os.execv(sys.argv[2], sys.argv[2:])
