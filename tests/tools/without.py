#!/usr/bin/python3
"""without.py CALL[,CALL...] COMMAND...: runs it where the kernel has no such calls.

They fail with ENOSYS, as on an older kernel.  Needs libseccomp, as the sandbox.
"""
import ctypes
import errno
import os
import sys

ALLOW = 0x7FFF0000
ERRNO = 0x00050000

seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p
seccomp.seccomp_rule_add.argtypes = [
    ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
seccomp.seccomp_load.argtypes = [ctypes.c_void_p]


def main():
    rules = seccomp.seccomp_init(ALLOW)
    for name in sys.argv[1].split(","):
        call = seccomp.seccomp_syscall_resolve_name(name.encode())
        if call < 0:
            sys.exit(f"without.py: {name}: no such call")
        if seccomp.seccomp_rule_add(rules, ERRNO | errno.ENOSYS, call, 0) < 0:
            sys.exit(f"without.py: {name}: cannot be left out")
    if seccomp.seccomp_load(rules) < 0:
        sys.exit("without.py: no seccomp")
    os.execvp(sys.argv[2], sys.argv[2:])


main()
