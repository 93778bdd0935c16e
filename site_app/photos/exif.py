"""What a camera wrote into a picture, in words a visitor reads.

Values come from strangers' files: of any type, with nulls in the text and zeros under the line. A value that cannot be
understood is left out. Where a photo was taken is left out on purpose: nobody asked the people in it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

LONGEST = 80  # characters of one value

EXIF_FOLDER = 0x8769  # the tag under which cameras keep most of what they write


class Tags(Protocol):
    """What is needed of Pillow's `Image.Exif`."""

    def get(self, tag: int, /) -> Any:
        """The value of a tag, None when there is none."""

    def get_ifd(self, tag: int) -> Mapping[int, Any]:
        """The tags in a folder of tags; empty when there is none."""


def readable_details(tags: Tags) -> dict[str, str]:
    """Names and values worth showing, in the order they are shown."""
    camera = tags.get_ifd(EXIF_FOLDER)
    found = {
        "Camera": camera_name(text(tags.get(0x010F)), text(tags.get(0x0110))),
        "Lens": text(camera.get(0xA434)),
        "Taken": moment(text(camera.get(0x9003))),
        "Exposure": understood(exposure, camera.get(0x829A)),
        "Aperture": understood(lambda value: f"f/{value:.3g}", camera.get(0x829D)),
        "Focal length": understood(lambda value: f"{value:.3g} mm", camera.get(0x920A)),
        "ISO": understood(lambda value: f"{value:.0f}", camera.get(0x8827)),
    }
    return {name: value for name, value in found.items() if value}


def understood(say: Callable[[float], str], value: object) -> str:
    """The number in words, or nothing when the value is no positive number."""
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever the file holds; not a number raises
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return ""
    return say(number) if 0 < number < float("inf") else ""


def exposure(seconds: float) -> str:
    """An exposure time as photographers say it."""
    return f"{seconds:.3g} s" if seconds >= 0.5 else f"1/{1 / seconds:.0f} s"  # noqa: PLR2004  shorter ones are fractions


def camera_name(maker: str, model: str) -> str:
    """Maker and model, without the maker twice, as in `Canon Canon EOS R5`."""
    return model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()


def moment(written: str) -> str:
    """`2026:05:01 06:12:30`, as cameras write it, as a date and a time people read."""
    try:
        return datetime.strptime(written, "%Y:%m:%d %H:%M:%S").strftime("%-d %B %Y, %H:%M")  # noqa: DTZ007  no zone given
    except ValueError:
        return ""


def text(value: object) -> str:
    """The value as one short line that a database and a page can hold; nothing when it is not text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    printable = "".join(character if character.isprintable() else " " for character in value)
    return " ".join(printable.split())[:LONGEST]
