"""Runs a seccomp filter as the kernel would: the instructions of bpf(4) that libseccomp makes."""

import struct

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
KILL = 0x00000000
X86_64 = 0xC000003E
I386 = 0x40000003

_JUMPS = {
    0x00: lambda _a, _k: True,
    0x10: lambda a, k: a == k,
    0x20: lambda a, k: a > k,
    0x30: lambda a, k: a >= k,
    0x40: lambda a, k: bool(a & k),
}


def answer(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int:
    """Return what a filter answers to a system call."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<iIQ6Q", number, architecture, 0, *padded)
    accumulator = at = 0
    while True:
        code, then, otherwise, constant = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        match code & 0x07:
            case 0x00:
                assert code == 0x20, "a load of a word of seccomp_data"
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x04:
                assert code == 0x54, "a bitwise and with a constant"
                accumulator &= constant
            case 0x05:
                holds = _JUMPS[code & 0xF0](accumulator, constant)
                at += constant if code & 0xF0 == 0 else then if holds else otherwise
            case 0x06:
                return constant
            case _:
                raise AssertionError(f"an instruction that no filter has: {code:#x}")
