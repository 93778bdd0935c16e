"""Pictures for tests, as bytes: small, quick, and of every kind a visitor may send."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

ORIENTATION = 0x0112


def picture(
    size: tuple[int, int] = (640, 480),
    colour: Any = "teal",
    *,
    mode: str = "RGB",
    format_name: str = "JPEG",
    **options: Any,
) -> bytes:
    """A plain picture."""
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, format_name, **options)
    return out.getvalue()


def stripes(size: tuple[int, int] = (800, 600), parts: tuple[tuple[str, float], ...] = (("red", 1.0),)) -> bytes:
    """Vertical stripes; each takes a part of the width."""
    image = Image.new("RGB", size)
    left = 0
    for colour, part in parts:
        right = left + round(size[0] * part)
        image.paste(colour, (left, 0, right, size[1]))
        left = right
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def noise(size: tuple[int, int] = (1200, 900)) -> bytes:
    """A JPEG that does not compress well, so that a cut takes something away."""
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def lying_on_its_side(size: tuple[int, int] = (600, 400)) -> bytes:
    """A photo taken upright: its pixels lie on their side (red is up), and EXIF says so."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))  # the left half, which is up once turned
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that says it is enormous."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
