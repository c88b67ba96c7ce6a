"""The files inside a tar, by where their bytes lie: nothing is extracted, no link is followed, and
damage is walked around.

Python's tarfile decodes each header. It does not drive the walk: it stops at the first damaged
header, and its releases before 3.11.14 loop for ever on a crafted one (CVE-2025-8194)."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from tarfile import BLOCKSIZE, TarInfo

from muse_core.data.parsing import is_plain_name

LONGEST_EXTENSION = 1 << 16
"""Bytes of the headers that carry a long name."""
SCANNED_AT_ONCE = 1 << 16
MAGIC, MAGIC_AT = b"ustar", 257

REFUSED = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
WITHOUT_BYTES = {*REFUSED, tarfile.DIRTYPE} - {tarfile.GNUTYPE_SPARSE}
PASSED_OVER = (tarfile.DIRTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK)


@dataclass(frozen=True)
class Member:
    """A regular file: ``size`` bytes from ``offset``, a multiple of 512."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Refused:
    """Something that is not used, and why."""

    reason: str


def tar_members(descriptor: int) -> Iterator[Member | Refused]:
    """Every member of an open, uncompressed tar, in order. Raises OSError when the disk does."""
    length, place, renamed = os.fstat(descriptor).st_size, 0, {}
    while place + BLOCKSIZE <= length:
        header = _header(os.pread(descriptor, BLOCKSIZE, place))
        if header is None and _zeros_to_the_end(descriptor, place, length):
            return
        start = place + BLOCKSIZE
        size = int(renamed.get("size", header.size)) if header is not None else 0
        stored = 0 if header is not None and header.type in WITHOUT_BYTES else size
        if header is None or start + stored > length:
            yield Refused(
                f"damaged at byte {place:,}"
                if header is None
                else f"{_shown(header.name)} is cut short"
            )
            place, renamed = _next_header(descriptor, start, length), {}
            if place == length:
                return
            continue
        place = start + -(-stored // BLOCKSIZE) * BLOCKSIZE
        if header.type in _EXTENSIONS:
            renamed = renamed | _EXTENSIONS[header.type](
                os.pread(descriptor, min(size, LONGEST_EXTENSION), start)
            )
            continue
        if header.type not in PASSED_OVER:
            yield _judged(header, str(renamed.get("path", header.name)), start, size)
        renamed = {}
    yield Refused("cut short: it lacks the blocks that end a tar")


def _header(block: bytes) -> TarInfo | None:
    """None where the block is no header: its checksum is wrong, or it says nonsense."""
    try:
        header = TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return header if header.size >= 0 else None


def _judged(header: TarInfo, name: str, start: int, size: int) -> Member | Refused:
    if header.type in REFUSED:
        return Refused(f"{_shown(name)} is {REFUSED[header.type]}")
    if not header.isreg():
        return Refused(f"{_shown(name)} is of an unknown kind")
    if not is_plain_name(name):
        return Refused(f"{_shown(name)} is not a name inside a folder")
    return Member(name, start, size)


def _shown(name: str) -> str:
    return repr(name[:100].encode("utf-8", "replace").decode())


def _zeros_to_the_end(descriptor: int, place: int, length: int) -> bool:
    """Whether the archive ends here, as it should."""
    while place < length:
        chunk = os.pread(descriptor, SCANNED_AT_ONCE, place)
        if not chunk or chunk.count(0) != len(chunk):
            return False
        place += len(chunk)
    return True


def _next_header(descriptor: int, place: int, length: int) -> int:
    """Where the next intact header starts; the end of the file where there is none."""
    while place < length:
        chunk = os.pread(descriptor, SCANNED_AT_ONCE, place)
        found = chunk.find(MAGIC)
        while found >= 0:
            start = found - MAGIC_AT
            if (
                start >= 0
                and start % BLOCKSIZE == 0
                and _header(chunk[start : start + BLOCKSIZE]) is not None
            ):
                return place + start
            found = chunk.find(MAGIC, found + 1)
        place += SCANNED_AT_ONCE
    return length


def _long_name(content: bytes) -> dict[str, str]:
    return {"path": content.split(b"\0")[0].decode("utf-8", "surrogateescape")}


def _pax(content: bytes) -> dict[str, str]:
    """The path and size among "length key=value" lines; what is no such line ends them."""
    found = {}
    while content:
        digits, space, _ = content[:20].partition(b" ")
        if not space or not digits.isdigit() or not len(digits) < int(digits) <= len(content):
            break
        key, _, value = content[len(digits) + 1 : int(digits)].rstrip(b"\n").partition(b"=")
        content = content[int(digits) :]
        if key == b"path" or (key == b"size" and value.isdigit() and len(value) < 20):
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
    return found


_EXTENSIONS = {
    tarfile.GNUTYPE_LONGNAME: _long_name,
    tarfile.XHDTYPE: _pax,
    tarfile.SOLARIS_XHDTYPE: _pax,
}
