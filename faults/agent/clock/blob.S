# What a target's clock functions run while its clock is wrong.
#
# The assembled bytes go into the unused tail of the target's [vdso] mapping, and the entries of three functions of the
# vDSO become jumps to the stubs below. A stub calls the original function (its displaced first instructions stand in a
# *trampoline*, filled in by relocate.py, which jumps on behind them) and bends the answer:
#
#     fake = x + ((d * rate) >> 32) + (odd half period of d ? strobe : 0) + offset,     d = x - ref
#
# The mapping cannot be written by the process itself, so there is no state here but what the keeper puts in:
#
#   0    magic[8]     "SEATRIAL": how a later keeper knows its predecessor's work
#   8    u32 version, u32 length of all this
#   16   u8  index    the block in force. One byte: a store of one byte cannot tear, so flipping it is the whole update
#   24   saved[3]     {u32 entry, u32 unused, u8 word[8]}: where each jump stands in the image, and the aligned word it
#                     displaced, so that any keeper of any version can put it back
#   128  ring[4]      parameter blocks of one cache line each. An update fills the next block, then flips the index; a
#                     reader that was interrupted in between still holds a whole block (three updates would have to pass)
#   384  code
#
# A block: +0 u32 curved (0: only the offset counts, the short way), +4 u32 unused, +8 offset, whole seconds (floor),
# +16 the rest of the offset in ns (0 … 1e9-1), +24 ref ns, +32 rate as a signed fraction of 2^32, +40 half period ns,
# +48 strobe ns, +56 CLOCK_TAI - CLOCK_REALTIME in ns, so that TAI is bent by the same amount as REALTIME.
#
# Stubs keep to the C calling convention and change caller-saved registers only. Rewriting this file needs
# `python -m faults.agent.clock.assemble`; a test compares.

    .intel_syntax noprefix
    .text
    .globl base, index, saved, ring, code, end
    .globl stub_clock_gettime, stub_gettimeofday, stub_time
    .globl original_clock_gettime, original_gettimeofday, original_time

    .set CURVED, 0
    .set OFFSET_S, 8
    .set OFFSET_NS, 16
    .set REF, 24
    .set RATE, 32
    .set HALF, 40
    .set STROBE, 48
    .set TAI_AHEAD, 56

    .set CLOCK_REALTIME, 0
    .set CLOCK_REALTIME_COARSE, 5
    .set CLOCK_TAI, 11
    .set SECOND, 1000000000

base:
    .ascii "SEATRIAL"
    .long 1
    .long end - base
index:
    .byte 0
    .balign 8, 0
saved:
    .skip 3 * 16
    .balign 128, 0
ring:
    .skip 4 * 64
code:

# int clock_gettime(edi = clock, rsi = timespec *)
    .balign 64, 0xcc
stub_clock_gettime:
    cmp   edi, CLOCK_TAI
    ja    original_clock_gettime          # also every negative (dynamic, per-process) clock
    mov   eax, (1 << CLOCK_REALTIME) | (1 << CLOCK_REALTIME_COARSE) | (1 << CLOCK_TAI)
    bt    eax, edi
    jnc   original_clock_gettime
    push  rdi
    push  rsi
    sub   rsp, 24                         # a timespec of ours, and the stack aligned to 16 for the callee
    mov   rsi, rsp
    call  original_clock_gettime
    test  eax, eax
    jnz   .Ldone
    # Only now the block is chosen: whoever reads the clock after an update is under the update.
    movzx ecx, byte ptr [rip + index]
    shl   ecx, 6
    lea   rdx, [rip + ring]
    add   rdx, rcx
    mov   rax, [rsp]                      # seconds
    mov   rcx, [rsp + 8]                  # nanoseconds
    cmp   dword ptr [rdx + CURVED], 0
    jne   .Lcurved
.Lshift:
    add   rax, [rdx + OFFSET_S]
    add   rcx, [rdx + OFFSET_NS]
    cmp   rcx, SECOND
    jl    .Lstore
    sub   rcx, SECOND
    inc   rax
.Lstore:
    mov   rsi, [rsp + 24]
    mov   [rsi], rax
    mov   [rsi + 8], rcx
    xor   eax, eax
.Ldone:
    add   rsp, 24
    pop   rsi
    pop   rdi
    xor   ecx, ecx
    xor   edx, edx
    ret

.Lcurved:
    mov   rsi, rdx                        # the block: rdx is needed by the multiplications
    mov   r10, rax
    imul  r8, rax, SECOND
    add   r8, rcx
    sub   r8, [rsi + REF]                 # d
    cmp   dword ptr [rsp + 32], CLOCK_TAI
    jne   1f
    sub   r8, [rsi + TAI_AHEAD]
1:  mov   rax, r8
    imul  qword ptr [rsi + RATE]          # 128 bits: d * rate
    shrd  rax, rdx, 32
    mov   r9, rax
    mov   r11, [rsi + HALF]
    test  r11, r11
    jz    2f
    mov   rax, r8
    cqo
    idiv  r11                             # truncates, so both signs of d have the parity of |d| / half
    test  al, 1
    jz    2f
    add   r9, [rsi + STROBE]
    # r9, the correction, into seconds (rdx) and rest (r9). A multiplication by 2^90 / 1e9: a division is three times dearer.
2:  movabs rax, 0x112E0BE826D694B3
    imul  r9
    sar   rdx, 26
    mov   rax, r9
    sar   rax, 63
    sub   rdx, rax
    imul  rax, rdx, SECOND
    sub   r9, rax
    lea   rax, [r10 + rdx]
    mov   rdx, rsi
    add   rcx, r9                         # -1e9 < rcx < 2e9
    jns   3f
    add   rcx, SECOND
    dec   rax
    jmp   .Lshift
3:  cmp   rcx, SECOND
    jl    .Lshift
    sub   rcx, SECOND
    inc   rax
    jmp   .Lshift

# int gettimeofday(rdi = timeval *, rsi = timezone *)
    .balign 16, 0xcc
stub_gettimeofday:
    test  rdi, rdi
    jz    original_gettimeofday
    push  rdi
    sub   rsp, 16
    test  rsi, rsi
    jz    1f
    xor   edi, edi                        # the time zone alone
    call  original_gettimeofday
1:  xor   edi, edi
    mov   rsi, rsp
    call  stub_clock_gettime
    test  eax, eax
    jnz   2f
    mov   rdi, [rsp + 16]
    mov   rax, [rsp]
    mov   [rdi], rax
    imul  rax, [rsp + 8], 0x10624dd3      # ns / 1000, exact below 2^32
    shr   rax, 38
    mov   [rdi + 8], rax
    xor   eax, eax
2:  add   rsp, 24
    ret

# time_t time(rdi = time_t * or null). The original reads the coarse clock too.
    .balign 16, 0xcc
stub_time:
    push  rdi
    sub   rsp, 16
    mov   edi, CLOCK_REALTIME_COARSE
    mov   rsi, rsp
    call  stub_clock_gettime
    mov   rax, [rsp]
    add   rsp, 16
    pop   rdi
    test  rdi, rdi
    jz    1f
    mov   [rdi], rax
1:  ret

# Trampolines: 64 bytes each, breakpoints until they are filled.
    .balign 64, 0xcc
original_clock_gettime:
    .skip 64, 0xcc
original_gettimeofday:
    .skip 64, 0xcc
original_time:
    .skip 64, 0xcc
end:
