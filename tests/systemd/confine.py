"""Applies to itself what systemd applies to the service, then becomes the command: ``confine.py LIMITS.json COMMAND…``.

No new privileges, SystemCallFilter=, RestrictAddressFamilies= and MemoryDenyWriteExecute=, by prctl and libseccomp; the
last both in the way of systemd 252 (a filter) and, where the kernel has it (Linux 6.3), in that of later ones.
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
EQUAL, MASKED_EQUAL = 4, 7
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
CONDITIONS = {  # system call -> arguments with which it is allowed: (index, mask, value), any of them
    "mmap": ((2, PROT_WRITE, 0), (2, PROT_EXEC, 0)),
    "mprotect": ((2, PROT_EXEC, 0),),
    "pkey_mprotect": ((2, PROT_EXEC, 0),),
    "shmat": ((2, SHM_EXEC, 0),),
}


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def confine(calls, families):
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # an older kernel refuses; the filter is there as well
    rules = ctypes.c_void_p(seccomp.seccomp_init(REFUSE_EPERM))

    def allow(name, *only):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others do not exist on this machine
            must(seccomp.seccomp_rule_add_array(rules, ALLOW, number, len(only), (Compare * 1)(*only)), name)

    for name in calls:
        if name not in CONDITIONS and name != "socket":
            allow(name)
        for index, mask, value in CONDITIONS.get(name, ()):
            allow(name, Compare(index, MASKED_EQUAL, mask, value))
    for family in families:
        allow("socket", Compare(0, EQUAL, int(getattr(socket, family)), 0))
    must(seccomp.seccomp_load(rules), "seccomp_load")


def must(result, what):
    if result:
        sys.exit(f"confine: {what}: {result}, errno {ctypes.get_errno()}")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        limits = json.load(file)
    confine(limits["calls"], limits["families"])
    os.execv(sys.argv[2], sys.argv[2:])
