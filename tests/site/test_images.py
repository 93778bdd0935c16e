"""Pure functions on pixels."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from site_app.photos import images
from site_app.photos.exif import EXIF_FOLDER, readable_details
from tests.site.drawing import bomb, lying_on_its_side, noise, picture, stripes

LIMIT = 64_000_000  # pixels
WIDE_GAMUT_RED = (234, 51, 35)  # sRGB's red in Display P3, about


def header(data: bytes, max_pixels: int = LIMIT) -> images.Header:
    return images.read_header(io.BytesIO(data), max_pixels=max_pixels)


def opened(rendition: images.Picture) -> Image.Image:
    return Image.open(io.BytesIO(rendition.data))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_a_picture_says_its_format_and_size(format_name):
    assert header(picture((64, 48), format_name=format_name)) == images.Header(format_name, 64, 48)


def test_the_size_is_the_one_seen_and_not_the_one_stored():
    found = header(lying_on_its_side((600, 400)))
    assert (found.width, found.height) == (400, 600)


def test_reading_the_header_leaves_the_file_at_its_beginning():
    file = io.BytesIO(picture())
    images.read_header(file, max_pixels=LIMIT)
    assert file.tell() == 0
    file = io.BytesIO(b"nothing")
    with pytest.raises(images.NotAPictureError):
        images.read_header(file, max_pixels=LIMIT)
    assert file.tell() == 0


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"hello, this is text", images.NotAPictureError, "is not a picture"),
        (b"<!doctype html><script>alert(1)</script>", images.NotAPictureError, "is not a picture"),
        (picture()[:40], images.NotAPictureError, "begins like a picture and is damaged"),
        (b"\x89PNG\r\n\x1a\nnonsense", images.NotAPictureError, "begins like a picture and is damaged"),
        (
            picture(format_name="GIF", mode="P", colour=1),
            images.UnsupportedFormatError,
            "is a GIF file; JPEG, PNG and WebP",
        ),
        (picture(format_name="TIFF"), images.UnsupportedFormatError, "is a TIFF file"),
        (picture(format_name="BMP"), images.UnsupportedFormatError, "is a BMP file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", images.UnsupportedFormatError, "is a HEIC file"),
        (b"%PDF-1.7", images.UnsupportedFormatError, "is a PDF file"),
        (b'<?xml version="1.0"?>\n<svg xmlns="">', images.UnsupportedFormatError, "is a SVG file"),
        (bomb(), images.TooManyPixelsError, "64 megapixels"),
        (bomb(12_000, 6_000), images.TooManyPixelsError, "has 72 megapixels; up to 64 are taken here"),
    ],
)
def test_a_file_that_is_not_taken_says_why(data, error, words):
    with pytest.raises(error, match=re.escape(words)):
        header(data)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\x20\0\0\0WEBP"]),
)
def test_whatever_the_bytes_are_they_are_refused_in_words(tail, beginning):
    with pytest.raises(ValueError, match=r"picture|file|megapixels"):
        header(beginning + tail)


@pytest.mark.parametrize(("width", "format_name"), [(320, "WEBP"), (800, "WEBP"), (1600, "JPEG")])
def test_a_rendition_has_the_width_and_format_asked_for(width, format_name):
    made = images.make_rendition(picture((2000, 1000)), width=width, format_name=format_name)
    assert (made.width, made.height) == (width, width // 2)
    assert opened(made).size == (width, width // 2)
    assert opened(made).format == format_name


def test_a_small_photo_is_not_enlarged():
    made = images.make_rendition(picture((200, 100)), width=800, format_name="WEBP")
    assert (made.width, made.height) == (200, 100)


def test_a_very_wide_photo_keeps_at_least_one_line():
    assert images.make_rendition(picture((4000, 2)), width=320, format_name="WEBP").height == 1


def test_a_photo_taken_upright_stands_upright():
    made = images.make_rendition(lying_on_its_side((600, 400)), width=320, format_name="JPEG")
    assert (made.width, made.height) == (320, 480)
    top = opened(made).convert("RGB").getpixel((160, 60))
    assert isinstance(top, tuple)
    assert top[0] > 200
    assert top[2] < 60


def test_a_rendition_tells_nothing_of_where_it_was_taken():
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    original = picture((640, 480), exif=exif)
    assert b"a secret" in original
    for format_name in ("JPEG", "WEBP"):
        made = opened(images.make_rendition(original, width=320, format_name=format_name))
        assert not made.getexif()
        assert "icc_profile" not in made.info


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("RGBA", (255, 0, 0, 0)), ("LA", (0, 0)), ("P", 3), ("1", 1), ("L", 90), ("I;16", 40_000)],
)
def test_every_kind_of_picture_becomes_a_jpeg(mode, colour):
    original = picture((400, 300), colour, mode=mode, format_name="PNG")
    made = images.make_rendition(original, width=320, format_name="JPEG")
    assert opened(made).mode == "RGB"
    assert images.find_palette(original)


def test_a_print_picture_in_four_colours_is_understood():
    made = images.make_rendition(picture((400, 300), (0, 255, 255, 0), mode="CMYK"), width=320, format_name="WEBP")
    pixel = opened(made).convert("RGB").getpixel((10, 10))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 180
    assert pixel[1] < 90


def test_what_is_transparent_becomes_white_in_a_jpeg():
    made = images.make_rendition(
        picture((40, 30), (255, 0, 0, 0), mode="RGBA", format_name="PNG"), width=40, format_name="JPEG"
    )
    assert opened(made).getpixel((20, 15)) == (255, 255, 255)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped():
    made = images.make_rendition(
        picture((40, 30), 32_768, mode="I;16", format_name="PNG"), width=40, format_name="JPEG"
    )
    grey = opened(made).convert("L").getpixel((20, 15))
    assert grey in range(125, 132)


def test_a_broken_colour_profile_does_no_harm():
    original = picture((400, 300), "red", icc_profile=b"not a profile")
    made = images.make_rendition(original, width=320, format_name="JPEG")
    assert made.width == 320


@pytest.mark.parametrize(
    "work",
    [
        lambda data: images.make_rendition(data, width=320, format_name="WEBP"),
        images.find_palette,
    ],
    ids=["rendition", "palette"],
)
def test_a_photo_that_is_cut_off_is_damaged_and_not_worth_another_try(work):
    with pytest.raises(images.UnreadablePictureError, match="damaged"):
        work(noise()[:-60_000])


def test_the_palette_is_the_colours_by_how_much_there_is_of_them():
    found = images.find_palette(stripes(parts=(("#d02020", 0.6), ("#2020d0", 0.3), ("#f0f0f0", 0.1))))
    assert [colour.hex for colour in found[:2]] == ["#d02020", "#2020d0"]
    assert found[0].share == pytest.approx(0.6, abs=0.03)
    assert sum(colour.share for colour in found) == pytest.approx(1, abs=0.01)


def test_a_plain_picture_has_one_colour():
    assert [colour.share for colour in images.find_palette(picture(format_name="PNG"))] == [1.0]


def test_colours_the_eye_takes_for_one_are_one():
    assert len(images.find_palette(stripes(parts=(("#808080", 0.5), ("#8a8a8a", 0.5))))) == 1


def camera(**tags: object) -> bytes:
    """A photo whose camera wrote these: maker, model, and folder tags as x829a=..."""
    exif = Image.Exif()
    for name, value in tags.items():
        tag = int(name.removeprefix("x"), 16)
        if tag < 0x8000:
            exif[tag] = value
        else:
            exif.get_ifd(EXIF_FOLDER)[tag] = value
    return picture(exif=exif)


def test_the_camera_is_read_in_words():
    written = camera(
        x010f="Canon",
        x0110="Canon EOS R5",
        x829a=1 / 250,
        x829d=2.8,
        x8827=400,
        x920a=35.0,
        x9003="2026:05:01 06:12:30",
    )
    assert images.read_details(written) == {
        "Camera": "Canon EOS R5",
        "Taken": "1 May 2026, 06:12",
        "Exposure": "1/250 s",
        "Aperture": "f/2.8",
        "Focal length": "35 mm",
        "ISO": "400",
    }


def test_a_picture_without_a_camera_has_no_details():
    assert images.read_details(picture()) == {}


def test_a_long_exposure_is_said_in_seconds():
    assert images.read_details(camera(x829a=8.0)) == {"Exposure": "8 s"}


class Tags(dict[int, object]):
    """Hostile tags, as a file may hold them and Pillow would not write them."""

    def get_ifd(self, tag: int) -> dict[int, object]:
        assert tag == EXIF_FOLDER
        return self


@pytest.mark.parametrize(
    "tags",
    [
        {0x829A: 0, 0x829D: -1.0, 0x8827: float("nan"), 0x920A: float("inf")},
        {0x829A: "fast", 0x829D: (1, 2), 0x8827: None, 0x920A: b"\0"},
        {0x9003: "0000:00:00 00:00:00"},
        {0x9003: b"\xff\xfe\0\0"},
        {0x010F: "\0\0", 0x0110: 7},
    ],
)
def test_values_nobody_understands_are_left_out(tags):
    assert readable_details(Tags(tags)) == {}


def test_text_that_a_database_refuses_is_cleaned():
    found = readable_details(Tags({0x010F: "Ni\0kon\n", 0x0110: "Z\ud800 8 " + "x" * 500}))
    assert found["Camera"].startswith("Ni kon Z 8 xxx")
    assert len(found["Camera"]) < 170
    found["Camera"].encode()


def test_reading_the_header_never_decodes_the_picture(monkeypatch):
    def refuse(_image: Image.Image) -> None:
        pytest.fail("the picture was decoded")

    data = picture((200, 100), format_name="PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    assert header(data).width == 200


def test_a_png_whose_exif_comes_last_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    original = picture((600, 400), format_name="PNG", exif=exif)
    assert original.index(b"eXIf") > 0
    made = images.make_rendition(original, width=320, format_name="WEBP")
    assert (made.width, made.height) == (320, 480)
