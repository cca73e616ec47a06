"""The bytes that the agent carries are those of the source; the vDSO's image is read and moved rightly."""

from __future__ import annotations

import itertools
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from clock_lab import needs_clock
from hypothesis import given
from hypothesis import strategies as st

from faults.agent.clock import vdso
from faults.agent.clock.assemble import HERE, assemble, module
from faults.agent.clock.blob import CODE, SYMBOLS
from faults.agent.clock.refusal import Refusal
from faults.agent.clock.relocate import Unknown, decode, jump, move
from faults.agent.clock.target import recipe


def test_the_carried_bytes_are_the_assembled_source() -> None:
    for tool in ("as", "ld", "objcopy", "nm"):
        assert shutil.which(tool), f"{tool} is missing: this test needs binutils (apt-get install binutils)"
    code, symbols = assemble()
    assert symbols == SYMBOLS
    assert code == CODE, "blob.S was changed: run python -m faults.agent.clock.assemble"
    assert "blob.py" in {p.name for p in HERE.iterdir()}
    namespace: dict[str, object] = {}
    exec(module(code, symbols), namespace)
    assert namespace["CODE"] == CODE


def test_the_layout_is_what_its_readers_in_python_assume() -> None:
    assert CODE[:8] == b"SEATRIAL"
    assert struct.unpack_from("<II", CODE, 8) == (1, len(CODE)) == (1, SYMBOLS["end"])
    assert SYMBOLS["ring"] % 64 == 0
    assert SYMBOLS["code"] == SYMBOLS["ring"] + 4 * 64
    assert SYMBOLS["saved"] + 3 * 16 <= SYMBOLS["ring"]
    assert not any(CODE[16 : SYMBOLS["code"]])


@needs_clock
def test_this_kernels_vdso_is_read_as_binutils_reads_it(tmp_path: Path) -> None:
    _, image = vdso.own()
    (tmp_path / "vdso.so").write_bytes(image)
    table = subprocess.run(
        ["nm", "-D", "--defined-only", tmp_path / "vdso.so"], capture_output=True, text=True, check=True
    ).stdout
    want = {
        row.split()[2].split("@")[0]: int(row.split()[0], 16)
        for row in table.splitlines()
        if " A " not in row
    }
    assert {name: at for name, (at, _) in vdso.parse(image).functions.items()} == want
    assert "__vdso_clock_gettime" in want


@needs_clock
def test_instructions_have_the_length_that_the_disassembler_gives_them(tmp_path: Path) -> None:
    _, image = vdso.own()
    (tmp_path / "vdso.so").write_bytes(image)
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", tmp_path / "vdso.so"],
        capture_output=True,
        text=True,
        check=True,
    )
    starts = [int(m, 16) for m in re.findall(r"^ +([0-9a-f]+):", text.stdout, re.M)]
    known = 0
    for here, following in itertools.pairwise(starts):
        if 0 < following - here <= 15:
            try:
                length = decode(image, here).length
            except Unknown:
                continue
            known += 1
            assert length == following - here, hex(here)
    assert known > 100


@needs_clock
def test_every_entry_of_this_kernel_can_be_moved() -> None:
    """Not a promise for all kernels, but a fall back to system calls would hide what others test."""
    assert all(new is not None for new in recipe().inside.values())


@pytest.mark.parametrize(
    ("code", "inside"),
    [
        ("55 4889e5 4156 53", {1: 0x8001, 4: 0x8004}),
        ("8b05 10000000 c3", {}),  # memory relative to the instruction
        ("90 7410 4889e5", {1: 0x8001, 3: 0x8007}),  # a short branch grows
        ("e9 10000000", {}),
        ("f30f1efa 55 53", {4: 0x8004}),
        ("813d 3a95ffff ffffff7f", {}),
    ],
)
def test_moved_instructions_do_what_they_did(code: str, inside: dict[int, int]) -> None:
    image = bytes.fromhex(code).ljust(64, b"\x90")
    got = move(image, 0, 0x8000)
    assert got.inside == inside
    body, back = got.code[:-5], got.code[-5:]
    displaced = _end_of(image)
    assert back == jump(0x8000 + len(body), displaced)
    assert _absolute(body, 0x8000) == _absolute(image[:displaced], 0)


def _end_of(image: bytes) -> int:
    at = 0
    while at < 5:
        at += decode(image, at).length
    return at


def _absolute(code: bytes, place: int) -> list[tuple[object, ...]]:
    """Instructions with what they refer to as absolute addresses: place and encoding do not matter."""
    out: list[tuple[object, ...]] = []
    at = 0
    while at < len(code):
        one = decode(code, at)
        raw = code[at : at + one.length]
        if one.kind == "memory":
            goal = struct.unpack_from("<i", raw, one.field)[0] + place + at
            out.append((raw[: one.field], raw[one.field + 4 :], goal))
        elif one.kind:
            out.append((one.kind, one.condition, place + at + one.length + one.distance))
        else:
            out.append((raw,))
        at += one.length
    return out


@pytest.mark.parametrize(
    "code",
    [
        "eb10 90909090",  # what follows a short jump may be a target of others
        "90 74fe 909090",  # branches into its own first bytes
        "0f05 c3",  # a system call at once
        "c3",
        "55",
    ],
)
def test_what_is_not_understood_is_not_moved(code: str) -> None:
    with pytest.raises(Unknown):
        move(bytes.fromhex(code), 0, 0x8000)


@given(st.binary(max_size=300))
def test_no_image_breaks_the_reader(noise: bytes) -> None:
    for image in (noise, b"\x7fELF\x02\x01" + noise, vdso.own()[1][:64] + noise):
        with pytest.raises(Refusal):
            vdso.parse(image)


def test_a_32_bit_program_is_told_from_one_without_a_vdso() -> None:
    assert vdso.address_in(struct.pack("<QQQQ", 33, 0x7F00, 0, 0)) == 0x7F00
    assert vdso.address_in(struct.pack("<QQQQ", 6, 4096, 0, 0)) == 0
    with pytest.raises(Refusal, match="32-bit program"):
        vdso.address_in(struct.pack("<IIIIII", 32, 0xF7F0, 33, 0xF7F1000, 0, 0))
