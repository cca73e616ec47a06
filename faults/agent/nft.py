"""nf_tables over raw netlink: batches, sets, maps, chains and rules as bytes.

Which rules there are is decided in ``cuts``. A batch is one transaction: either all of it holds from one
instant on, or none of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from faults.agent.netlink import (
    ACK,
    CREATE,
    DUMP,
    NLMSG_ERROR,
    REQUEST,
    Netlink,
    attr,
    attributes,
    each,
    error_of,
    message,
    nest,
    split,
    text,
)

NFPROTO_IPV4 = 2
HOOK_FORWARD = 2
ACCEPT, DROP = 1, 0
REG_VERDICT, REG32_00, REG32_01, REG32_02 = 0, 8, 9, 10
SET_MAP, SET_TIMEOUT = 0x8, 0x10
TYPE_IPV4, TYPE_MARK, TYPE_NFPROTO = 7, 19, 2
"""Data types as the ``nft`` program numbers them; the kernel ignores them, people's listings do not."""

_SUBSYSTEM = 10 << 8
_BATCH_BEGIN, _BATCH_END = 16, 17
(_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN) = range(5)
(_NEWRULE, _GETRULE) = (6, 7)
_NEWSET, _NEWSETELEM, _GETSETELEM, _DELSETELEM, _GETGEN = 9, 12, 13, 14, 16
_ELEMENTS_PER_MESSAGE = 400
_META_NFPROTO = 15
_META_MARK = 3
_NETLINK_NETFILTER = 12


def _be32(value: int) -> bytes:
    return struct.pack(">I", value)


def _be64(value: int) -> bytes:
    return struct.pack(">Q", value)


def _generic(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)


def _command(kind: int, flags: int, body: bytes) -> bytes:
    return message(_SUBSYSTEM | kind, REQUEST | flags, _generic(NFPROTO_IPV4) + body)


def table(name: str) -> bytes:
    """Create a table of the ip family; nothing happens where it exists."""
    return _command(_NEWTABLE, CREATE, attr(1, text(name)))


def delete_table(name: str) -> bytes:
    """Delete a table with all that is in it; an error where there is none."""
    return _command(_DELTABLE, 0, attr(1, text(name)))


def forward_chain(of: str, name: str, priority: int = 0) -> bytes:
    """Create a chain that sees every forwarded packet and lets it pass by default."""
    hook = nest(4, attr(1, _be32(HOOK_FORWARD)), attr(2, struct.pack(">i", priority)))
    body = attr(1, text(of)) + attr(3, text(name)) + hook + attr(5, _be32(ACCEPT)) + attr(7, text("filter"))
    return _command(_NEWCHAIN, CREATE, body)


def new_set(
    of: str,
    name: str,
    number: int,
    key: tuple[int, int],
    *,
    data: tuple[int, int] | None = None,
    flags: int = 0,
) -> bytes:
    """Create a set, or a map where ``data`` is given; ``key`` and ``data`` are (type, length in bytes)."""
    body = attr(1, text(of)) + attr(2, text(name)) + attr(10, _be32(number))
    body += attr(3, _be32(flags | (SET_MAP if data else 0))) + attr(4, _be32(key[0])) + attr(5, _be32(key[1]))
    if data:
        body += attr(6, _be32(data[0])) + attr(7, _be32(data[1]))
    return _command(_NEWSET, CREATE, body)


def rule(of: str, chain: str, *expressions: bytes) -> bytes:
    """Append a rule."""
    return _command(
        _NEWRULE, CREATE | 0x800, attr(1, text(of)) + attr(2, text(chain)) + nest(4, *expressions)
    )


def _expression(name: str, *parts: bytes) -> bytes:
    return nest(1, attr(1, text(name)), nest(2, *parts))


def load_protocol(register: int) -> bytes:
    """Load the packet's network protocol number (one byte)."""
    return _expression("meta", attr(2, _be32(_META_NFPROTO)), attr(1, _be32(register)))


def load_mark(register: int) -> bytes:
    """Load the packet's mark (four bytes)."""
    return _expression("meta", attr(2, _be32(_META_MARK)), attr(1, _be32(register)))


def set_mark(register: int) -> bytes:
    """Set the packet's mark from a register."""
    return _expression("meta", attr(2, _be32(_META_MARK)), attr(3, _be32(register)))


def load_network(offset: int, length: int, register: int) -> bytes:
    """Load bytes of the network header."""
    parts = (attr(1, _be32(register)), attr(2, _be32(1)), attr(3, _be32(offset)), attr(4, _be32(length)))
    return _expression("payload", *parts)


def lookup(name: str, number: int, register: int, *, into: int | None = None, missing: bool = False) -> bytes:
    """Go on only if the register is in the set (with ``missing``.

    Is not in it); of a map load the value ``into``.
    """
    body = [attr(1, text(name)), attr(2, _be32(register)), attr(4, _be32(number))]
    if into is not None:
        body.append(attr(3, _be32(into)))
    if missing:
        body.append(attr(5, _be32(1)))
    return _expression("lookup", *body)


def verdict(code: int) -> bytes:
    """End with a verdict: ACCEPT or DROP."""
    return _expression("immediate", attr(1, _be32(REG_VERDICT)), nest(2, nest(2, attr(1, _be32(code)))))


def flush(of: str, name: str) -> bytes:
    """Empty a set."""
    return _command(_DELSETELEM, 0, attr(1, text(of)) + attr(2, text(name)))


def elements(
    of: str, name: str, what: Iterable[bytes] | Mapping[bytes, bytes], *, timeout_ms: int = 0
) -> list[bytes]:
    """Add elements to a set, or pairs to a map; with a time-out they leave by themselves."""
    items: list[bytes] = []
    life = attr(4, _be64(timeout_ms)) if timeout_ms else b""
    if isinstance(what, Mapping):
        for key, value in what.items():
            items.append(nest(1, nest(1, attr(1, key)), nest(2, attr(1, value)), life))
    else:
        items.extend(nest(1, nest(1, attr(1, key)), life) for key in what)
    head = attr(1, text(of)) + attr(2, text(name))
    step = _ELEMENTS_PER_MESSAGE
    return [
        _command(_NEWSETELEM, CREATE, head + nest(3, *items[i : i + step]))
        for i in range(0, len(items), step)
    ]


class Nft(Netlink):
    """A socket to nf_tables of the network namespace it was opened in."""

    def __init__(self) -> None:
        super().__init__(_NETLINK_NETFILTER, 8 << 20)

    def commit(self, commands: Sequence[bytes]) -> None:
        """Carry out commands as one transaction. Raises the first error; then nothing has changed."""
        self.commit_prepared(prepare(commands))

    def commit_prepared(self, batch: bytes) -> None:
        """As ``commit``, with the bytes that ``prepare`` made ahead of time."""
        self._sequence += 1
        raw = bytearray(batch)
        struct.pack_into("=I", raw, 8, self._sequence)
        last = struct.unpack_from("=I", raw, len(raw) - 4)[0]
        struct.pack_into("=I", raw, last + 8, self._sequence)
        self.socket.send(raw[:-4])
        problem: OSError | None = None
        while True:
            for kind, _, sequence, body in split(self.socket.recv(1 << 18)):
                if kind != NLMSG_ERROR:
                    continue
                problem = problem or error_of(body)
                # The last command alone asks to be acknowledged; an error of an earlier one has sequence 0.
                if sequence == self._sequence:
                    if problem:
                        raise problem
                    return

    def generation(self) -> int:
        """A number that grows by one with every transaction in this namespace, whoever's it is."""
        answer = self.ask(_SUBSYSTEM | _GETGEN, 0, _generic(0))[0]
        return int(struct.unpack(">I", attributes(answer[4:])[1])[0])

    def has_table(self, name: str) -> bool:
        """Whether the table exists and is not dormant."""
        try:
            answer = self.ask(_SUBSYSTEM | _GETTABLE, 0, _generic(NFPROTO_IPV4) + attr(1, text(name)))
        except FileNotFoundError:
            return False
        return attributes(answer[0][4:]).get(2, _be32(0)) == _be32(0)

    def rules(self, of: str) -> list[bytes]:
        """Every rule of a table as the kernel describes it, to be compared with an earlier answer."""
        body = _generic(NFPROTO_IPV4) + attr(1, text(of))
        return [r[4:] for r in self.ask(_SUBSYSTEM | _GETRULE, DUMP, body) if _of(r) == of]

    def contents(self, of: str, name: str) -> dict[bytes, bytes]:
        """The elements of a set with their data (empty where it is not a map); raises FileNotFoundError."""
        body = _generic(NFPROTO_IPV4) + attr(1, text(of)) + attr(2, text(name))
        found: dict[bytes, bytes] = {}
        for part in self.ask(_SUBSYSTEM | _GETSETELEM, DUMP, body):
            for _, one in each(attributes(part[4:]).get(3, b"")):
                held = attributes(one)
                data = attributes(held[2]).get(1, b"") if 2 in held else b""
                found[attributes(held[1])[1]] = data
        return found


def _of(answer: bytes) -> str:
    return attributes(answer[4:]).get(1, b"").rstrip(b"\0").decode()


def prepare(commands: Sequence[bytes]) -> bytes:
    """The bytes of a transaction.

    The place of its last command, whose acknowledgement ends it, is appended.
    """
    begin = message(_BATCH_BEGIN, REQUEST, _generic(0, 10))
    end = message(_BATCH_END, REQUEST, _generic(0, 10))
    head = begin + b"".join(commands[:-1])
    last = bytearray(commands[-1])
    struct.pack_into("=H", last, 6, struct.unpack_from("=H", last, 6)[0] | ACK)
    return head + bytes(last) + end + struct.pack("=I", len(head))
