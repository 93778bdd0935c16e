"""What is done with the pixels: pure functions from bytes to values, on Pillow. No database, no files, no Django.

Every function here meets files from strangers. Whatever is wrong with one is a `ValueError` of this module whose text
can be shown to the visitor.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, ParamSpec, TypeVar, cast

from PIL import Image, ImageCms, ImageOps

from site_app.photos.exif import readable_details

P = ParamSpec("P")
R = TypeVar("R")

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is taken, in Pillow's words. Each is opened by its own reader only; the others are never tried."""

# How known formats that are not taken begin (offset, bytes), so that the visitor is told what the file is.
OTHER_FORMATS = (
    ("GIF", 0, b"GIF8"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("BMP", 0, b"BM"),
    ("HEIC", 4, b"ftyphei"),
    ("HEIC", 4, b"ftypmif1"),
    ("AVIF", 4, b"ftypavif"),
    ("PDF", 0, b"%PDF"),
    ("SVG", 0, b"<svg"),
    ("ZIP", 0, b"PK\3\4"),
)

PALETTE_SIDE = 160  # pixels; colours are counted on a small copy
PALETTE_BINS = 24  # colours the small copy is reduced to before alike ones are joined
ALIKE = 44.0  # distance in RGB under which two colours are one to the eye


class NotAPictureError(ValueError):
    """The bytes are no picture at all."""


class UnsupportedFormatError(ValueError):
    """A format that is not taken here."""


class TooManyPixelsError(ValueError):
    """A picture that would fill the memory when it is decoded."""


class UnreadablePictureError(ValueError):
    """A picture that begins well and cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says of itself before it is decoded."""

    format: str
    """One of FORMATS."""
    width: int
    """Pixels as seen, after the camera's turn is undone."""
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Colour:
    """One of a picture's colours."""

    hex: str
    """`#rrggbb`."""
    share: float
    """How much of the palette it is, 0 to 1."""


def read_header(file: IO[bytes], *, max_pixels: int) -> Header:
    """What the picture says of itself; decodes nothing, and leaves the file at its beginning.

    Raises NotAPictureError, UnsupportedFormatError, TooManyPixelsError.
    """
    file.seek(0)
    beginning = file.read(512)
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = size_as_seen(image)
            header = Header(format=str(image.format), width=width, height=height)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(f"has more than {megapixels(max_pixels)} megapixels") from error
    except Exception as error:  # a stranger's bytes may raise anything in a reader
        raise refusal_of(beginning) from error
    finally:
        file.seek(0)
    if header.width * header.height > max_pixels:
        raise TooManyPixelsError(
            f"has {megapixels(header.width * header.height)} megapixels; up to {megapixels(max_pixels)} are taken here"
        )
    return header


def make_rendition(original: bytes, *, width: int, format_name: str) -> Picture:
    """The picture `width` pixels wide, or as wide as it is when it is smaller; upright, in sRGB, with no metadata.

    Raises UnreadablePictureError.
    """
    return readable(render, original, width=width, format_name=format_name)


def find_palette(original: bytes, *, count: int = 5) -> list[Colour]:
    """The picture's `count` most present colours that differ to the eye, most present first; fewer for a plain picture.

    Raises UnreadablePictureError.
    """
    return readable(count_colours, original, count=count)


def read_details(original: bytes) -> dict[str, str]:
    """What the camera wrote that a visitor wants to know, by name, in words; empty when it wrote nothing.

    Raises UnreadablePictureError.
    """

    def details(data: bytes) -> dict[str, str]:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return readable_details(image.getexif())

    return readable(details, original)


# ----------------------------------------------------------------------------------------------------------- the inside


def readable(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `work` returns; whatever a broken picture raises in a decoder becomes UnreadablePictureError.

    Decoders raise OSError for a file that is cut off, which outside of here means that trying again may help.
    """
    try:
        return work(*args, **kwargs)
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadablePictureError("The picture is damaged: it cannot be decoded.") from error


def render(original: bytes, *, width: int, format_name: str) -> Picture:
    """See `make_rendition`; raises whatever a decoder raises."""
    with Image.open(io.BytesIO(original), formats=FORMATS) as image:
        if image.format == "PNG":
            image.load()  # now its EXIF is known, wherever it is
        seen_width, seen_height = size_as_seen(image)
        small_width = min(width, seen_width)
        small_height = max(1, round(seen_height * small_width / seen_width))
        # A JPEG is decoded at a half or less of its size where that is enough: several times as fast.
        lies_on_its_side = (seen_width, seen_height) != image.size
        image.draft("RGB", (small_height, small_width) if lies_on_its_side else (small_width, small_height))
        upright = ImageOps.exif_transpose(image)
        small = plain(upright).resize((small_width, small_height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        small = in_srgb(small, image.info.get("icc_profile"))
    out = io.BytesIO()
    if format_name == "WEBP":
        small.save(out, "WEBP", quality=80, method=2)  # as small as the default 4 to a few percent, in half the time
    else:
        flat(small).save(out, format_name, quality=84, progressive=True)
    return Picture(data=out.getvalue(), width=small_width, height=small_height)


def count_colours(original: bytes, *, count: int) -> list[Colour]:
    """See `find_palette`; raises whatever a decoder raises."""
    with Image.open(io.BytesIO(original), formats=FORMATS) as image:
        image.draft("RGB", (PALETTE_SIDE, PALETTE_SIDE))
        image.thumbnail((PALETTE_SIDE, PALETTE_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        reduced = flat(plain(image)).quantize(PALETTE_BINS, Image.Quantize.MEDIANCUT)
    table = reduced.getpalette("RGB") or []
    # A quantized image's pixels are indexes into its palette.
    counted = cast("list[tuple[int, int]]", reduced.getcolors(PALETTE_BINS) or [])
    found = [(pixels, rgb(table, index)) for pixels, index in sorted(counted, reverse=True)]
    return shares(join_alike(found)[:count])


def join_alike(found: list[tuple[int, tuple[int, int, int]]]) -> list[tuple[int, tuple[int, int, int]]]:
    """The colours with their pixels, most present first; one that is alike to a more present one counts as that one."""
    joined: list[tuple[int, tuple[int, int, int]]] = []
    for pixels, colour in found:
        for place, (more, other) in enumerate(joined):
            if math.dist(colour, other) < ALIKE:
                joined[place] = (more + pixels, other)
                break
        else:
            joined.append((pixels, colour))
    return sorted(joined, reverse=True)


def shares(colours: list[tuple[int, tuple[int, int, int]]]) -> list[Colour]:
    """Numbers of pixels as shares of all of them."""
    total = sum(pixels for pixels, _ in colours)
    return [
        Colour(hex="#{:02x}{:02x}{:02x}".format(*colour), share=round(pixels / total, 4)) for pixels, colour in colours
    ]


def rgb(table: list[int], index: int) -> tuple[int, int, int]:
    """One colour of a palette."""
    red, green, blue = table[3 * index : 3 * index + 3]
    return red, green, blue


def size_as_seen(image: Image.Image) -> tuple[int, int]:
    """Width and height once the camera's turn is undone (EXIF orientations 5 to 8 lie on their side).

    Decodes nothing: a PNG may have its EXIF at its end, and counts as upright while it is not loaded.
    """
    width, height = image.size
    known = image.format != "PNG" or "exif" in image.info  # Pillow would decode a whole PNG to look for it
    orientation = image.getexif().get(0x0112, 1) if known else 1
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def plain(image: Image.Image) -> Image.Image:
    """The same picture as RGB, or RGBA where it is transparent, with 8 bits a channel."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scale
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The same colours in sRGB: phones take photos in wider spaces, which look pale once their profile is gone."""
    if not profile or image.mode != "RGB":
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile, or one of another colour space: the plain numbers are the best guess
    return converted or image


def flat(image: Image.Image) -> Image.Image:
    """The same picture on white where it is transparent: JPEG has no transparency."""
    if image.mode != "RGBA":
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def refusal_of(beginning: bytes) -> ValueError:
    """Why a file that no reader opened is refused, as well as its first bytes tell."""
    trimmed = beginning.lstrip().removeprefix(b"\xef\xbb\xbf")
    for name, offset, signature in OTHER_FORMATS:
        if beginning[offset:].startswith(signature) or (name == "SVG" and b"<svg" in trimmed[:400]):
            return UnsupportedFormatError(f"is a {name} file; JPEG, PNG and WebP are taken here")
    if beginning.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF")):
        return NotAPictureError("begins like a picture and is damaged")
    return NotAPictureError("is not a picture")


def megapixels(pixels: int) -> str:
    """The number as it is said."""
    return f"{pixels / 1_000_000:.0f}"
