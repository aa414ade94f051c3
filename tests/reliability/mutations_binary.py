"""Changes of binary formats: arrays, archives, pickles, protobuf messages, PNG."""

from __future__ import annotations

import io
import pickletools
import struct
import tarfile
import warnings
import zipfile
import zlib
from contextlib import suppress
from random import Random

from tests.reliability.mutations import NUMBERS, ODD_TEXTS, Mutate, noise
from tests.segnet.segnet_toys import varint


def in_npy(content: bytes, draw: Random) -> bytes:
    """Change the header of a .npy file: its shape, dtype, order, version or form."""
    start = 10 + int.from_bytes(content[8:10], "little")
    header = content[10:start].decode("latin-1")
    descr = ("<f4", "<f8", "|O", "<M8[s]", "|S0", "<U9", "|V0", "<i2", ">f4", "|b1", "<c16", "bad", "<f4,<i4", "|u1")
    shapes = (
        "()",
        "(0,)",
        "(-1, 3)",
        "(10**9,)",
        "(4294967296, 4294967296)",
        "(1000000000000,)",
        "(2, 0, 3)",
        "3",
        "(1.5,)",
    )
    shapes += ("(99999999999999999999,)", f"({', '.join('1' * 70)},)", "(True,)")
    way = draw.randrange(4)
    old = header[header.index("'shape':") + 8 : header.rindex(")") + 1]
    if way == 0:
        header = header.replace(old, f" {draw.choice(shapes)}")
    elif way == 1:
        header = header.replace(
            header[header.index("'descr':") + 9 : header.index(", 'fortran")], repr(draw.choice(descr))
        )
    elif way == 2:
        header = header.replace("False", draw.choice(("True", "None", "3", "(1,)")))
    else:
        header = draw.choice(
            ("{}", "(" * 300, "{'descr': '<f4'}", "x" * 12_000, header.rstrip() + "L\n", "1L", header[:-9])
        )
    version = draw.choice((b"\1\0",) * 6 + (b"\2\0", b"\3\0", b"\4\0", b"\0\0"))
    width = 2 if version == b"\1\0" else 4
    text = header.encode("latin-1")
    return content[:6] + version + len(text).to_bytes(width, "little") + text + content[start:]


def in_zip(inner: Mutate) -> Mutate:
    """Return a change of a zip archive: of a member's content, name, kind of compression or place, or of a header."""

    def change(content: bytes, draw: Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        which, way, kind = draw.randrange(len(members)), draw.randrange(8), zipfile.ZIP_STORED
        name, data = members[which]
        if way <= 3:
            members[which] = name, (inner if name.endswith((".npy", ".pkl")) else noise)(data, draw)
        elif way == 4:
            del members[which]
        elif way == 5:
            members[which] = (
                draw.choice((*ODD_TEXTS[:9], name + ".npy", name + "x")).replace("\ud800", "?") or "x",
                data,
            )
        elif way == 6:
            members.append((name, noise(data, draw)))
        else:
            kind = draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
        made = io.BytesIO()
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(made, "w", kind) as archive:
            for one, its in members:
                archive.writestr(one.strip("\0") or "x", its)
        return made.getvalue()

    return change


def in_pickle(content: bytes, draw: Random) -> bytes:
    """Change an argument or an opcode of a pickle."""
    steps = [(code, argument, place) for code, argument, place in pickletools.genops(content) if place is not None]
    which = draw.randrange(len(steps) - 1)
    start, end = steps[which][2], steps[which + 1][2]
    numbers = [
        b"K" + bytes([draw.randrange(256)]),
        b"J\xff\xff\xff\x7f",
        b"J\xff\xff\xff\xff",
        b"\x8a\x09" + b"\xff" * 8 + b"\0",
    ]
    others = [
        b"N",
        b")",
        b"]",
        b"}",
        b"\x88",
        b"G\x7f\xf8" + b"\0" * 6,
        b"U\x01x",
        b"cos\nsystem\n",
        b"cbuiltins\neval\n",
        b"0",
    ]
    new = draw.choice([*numbers, *others, b"", content[start:end] * 2, b"I" + b"9" * 5000 + b"\n"])
    return content[:start] + new + content[end:]


def in_protobuf(content: bytes, draw: Random) -> bytes:
    """Change a number, a length or a part of a protobuf message, at any depth, and mend the lengths around it."""
    fields, place = [], 0
    while place < len(content):
        key, place = _varint(content, place)
        if key & 7 == 2:
            length, place = _varint(content, place)
        else:
            start, length = place, {0: 0, 1: 8, 5: 4}[key & 7]
            length = _varint(content, start)[1] - start if key & 7 == 0 else length
        fields.append([key, content[place : place + length]])
        place += length
    which, way = draw.randrange(len(fields)), draw.randrange(8)
    key, value = fields[which]
    if key & 7 == 2 and len(value) > 1 and draw.random() < 0.7:
        with suppress(IndexError, KeyError, ValueError):  # it is no message
            fields[which][1] = in_protobuf(value, draw)
    elif way <= 2 and key & 7 == 0:
        fields[which][1] = varint(draw.choice(NUMBERS))
    elif way == 3:
        del fields[which]
    elif way == 4:
        fields.append(fields[which])
    elif way == 5:
        fields[which][0] = draw.choice((8 * draw.randrange(120) + draw.randrange(8), 2**70))
    else:
        fields[which][1] = noise(value, draw)
    lengths = (varint(len(value)) if key & 7 == 2 else b"" for key, value in fields)
    return b"".join(varint(key) + length + value for (key, value), length in zip(fields, lengths, strict=True))


def _varint(content: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while content[place] >= 128:
        number, shift, place = number | (content[place] & 127) << shift, shift + 7, place + 1
    return number | content[place] << shift, place + 1


def in_png(content: bytes, draw: Random) -> bytes:
    """Change a chunk of a PNG and give it a right checksum: sizes, depths, palettes, pixels, a bomb, a lost chunk."""
    chunks, place = [], 8
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        chunks.append([kind, content[place + 8 : place + 8 + length]])
        place += 12 + length
    which, way = draw.randrange(len(chunks)), draw.randrange(8)
    if way <= 1:
        header = list(struct.unpack(">IIBBBBB", chunks[0][1]))
        field = draw.randrange(7)
        header[field] = draw.choice((0, 1, 2, 3, 4, 6, 8, 16, 40, 255, *((5000, 70_000, 2**31) if field < 2 else ())))
        chunks[0][1] = struct.pack(">IIBBBBB", *header)
    elif way == 2:
        del chunks[which]
    elif way == 3:
        chunks.insert(draw.randrange(len(chunks)), chunks[which])
    elif way == 4:
        chunks[which][1] = noise(chunks[which][1], draw)
    elif way == 5:
        for chunk in chunks:
            if chunk[0] == b"IDAT":
                pixels = zlib.decompress(chunk[1])
                chunk[1] = zlib.compress(
                    draw.choice((noise(pixels, draw), pixels[:-9], pixels * 3, b"\0" * 9_000_000)), 1
                )
    else:
        kinds = (
            b"tRNS",
            b"gAMA",
            b"eXIf",
            b"acTL",
            b"fcTL",
            b"fdAT",
            b"sBIT",
            b"pHYs",
            b"cHRM",
            b"IEND",
            b"PLTE",
            b"IDAT",
        )
        bomb = zlib.compress(bytes(3_000_000), 1)
        texts = ((b"zTXt", b"k\0\0" + bomb), (b"iCCP", b"k\0\0" + bomb), (b"iTXt", b"k\0\1\0\0\0" + bomb))
        new = draw.choice(
            [(kind, draw.randbytes(draw.choice((0, 1, 3, 4, 8, 26, 800)))) for kind in kinds] + list(texts)
        )
        chunks.insert(draw.randrange(len(chunks)), list(new))
    out = content[:8]
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def in_tar(content: bytes, draw: Random) -> bytes:
    """Change a member of a tar archive: its name, kind, link, size or content; compress it or not."""
    made, which = io.BytesIO(), draw.randrange(4)
    mode = draw.choice(("w", "w:gz", "w:bz2", "w:xz"))
    with tarfile.open(fileobj=io.BytesIO(content)) as old, tarfile.open(fileobj=made, mode=mode) as new:
        for number, member in enumerate(old):
            stream = old.extractfile(member) if member.isreg() else None
            if number == which:
                way = draw.randrange(5)
                if way == 0:
                    member.name = draw.choice((*ODD_TEXTS[1:8], "../../../../escaped", "/escaped", "a/" * 90))
                elif way == 1:
                    member.type = draw.choice((b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"x", b"L", b"K", b"S", b"g"))
                    member.linkname = draw.choice(("", "../../up", "/etc/passwd", member.name))
                elif way == 2:
                    member.mode, member.mtime, member.uid = draw.choice(((0, 2**40, 0), (0o7777, -5, 2**30)))
                elif way == 3:
                    stream = io.BytesIO(noise(b"" if stream is None else stream.read(), draw))
                    member.size = draw.choice((len(stream.getvalue()), 0))
            new.addfile(member, stream if stream is not None and member.isreg() else None)
    whole = made.getvalue()
    return whole if draw.random() < 0.5 else noise(whole, draw)
