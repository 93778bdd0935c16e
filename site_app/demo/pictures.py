"""Photographs for the demo, drawn: a dozen landscapes of 12 megapixels each, as a camera would save them.

Every picture is the same on every machine, but for the grain of its film.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from site_app.demo.landscapes import Painter, balloons, city, dunes, meadow, mountains, night
from site_app.demo.painting import HEIGHT, WIDTH

SIZE = (4000, 3000)  # pixels, as a 12-megapixel camera has them

EXIF_FOLDER, LIES_ON_ITS_SIDE = 0x8769, 6


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: how it is painted, and what the camera writes into it."""

    name: str
    paint: Painter
    camera: tuple[str, str] = ("Leica", "Leica Q3")
    taken: str = "2026:05:01 05:48:12"
    exposure: float = 1 / 250
    aperture: float = 5.6
    focal_length: float = 28.0
    iso: int = 100
    upright: bool = False
    """Whether the camera was held upright: the pixels then lie on their side, and EXIF says so."""


def draw(folder: Path) -> Iterator[Path]:
    """Draw every scene into the folder, two at a time; gives each file when it is there."""
    with ThreadPoolExecutor(max_workers=2) as painters:
        yield from painters.map(lambda scene: save(scene, folder), SCENES)


def save(scene: Scene, folder: Path) -> Path:
    """Paint one scene, enlarge it, add grain and write it as the camera would."""
    painting = scene.paint(random.Random(scene.name))  # noqa: S311  the same landscape every time
    picture = painting.resize(SIZE, Image.Resampling.BICUBIC)
    if scene.upright:
        turned = ImageOps.fit(painting, (HEIGHT, WIDTH)).rotate(90, expand=True)
        picture = turned.resize(SIZE, Image.Resampling.BICUBIC)
    path = folder / f"{scene.name}.jpg"
    picture.save(path, "JPEG", quality=90, exif=exif_of(scene))
    return path


def exif_of(scene: Scene) -> Image.Exif:
    """What a camera writes into its pictures."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = scene.camera
    exif[0x0112] = LIES_ON_ITS_SIDE if scene.upright else 1
    camera = exif.get_ifd(EXIF_FOLDER)
    camera[0x829A] = scene.exposure
    camera[0x829D] = scene.aperture
    camera[0x8827] = scene.iso
    camera[0x9003] = scene.taken
    camera[0x920A] = scene.focal_length
    return exif


SCENES = (
    Scene(
        "alpine-dawn",
        mountains(
            heaven=("#2d3f73", "#c9849a", "#ffd9a8"), far="#b98aa0", near="#1d2140", sun=(0.66, 0.5), light="#ffe2a8"
        ),
        iso=64,
    ),
    Scene(
        "still-lake",
        mountains(
            heaven=("#5f9fc4", "#a9d3de", "#f3efe0"),
            far="#8fb3bd",
            near="#17424a",
            sun=None,
            light="#ffffff",
            water=True,
        ),
        camera=("FUJIFILM", "X-T5"),
        aperture=8.0,
        exposure=1 / 500,
        focal_length=23.0,
    ),
    Scene(
        "northern-lights",
        night(heaven=("#050a1c", "#0c1d3a", "#1d3f52"), veil=("#3bffa6", "#54e8d0", "#a06bff"), ground="#03070c"),
        camera=("SONY", "ILCE-7M4"),
        taken="2026:02:11 23:14:41",
        exposure=8.0,
        aperture=1.8,
        focal_length=20.0,
        iso=1600,
    ),
    Scene(
        "red-dunes",
        dunes(heaven=("#3f7fae", "#9cc3cf", "#fbe3bd"), bright="#f2a35c", dark="#8e3a1d", sun=(0.24, 0.3)),
        camera=("NIKON CORPORATION", "NIKON Z 8"),
        exposure=1 / 1000,
        aperture=11.0,
        focal_length=70.0,
    ),
    Scene(
        "harbour-at-night",
        city(heaven=("#0d1030", "#3b2a63", "#d4667a"), walls="#0c0d20", windows=("#ffd27d", "#ffe9b8", "#9ad5ff")),
        camera=("Canon", "Canon EOS R6"),
        taken="2026:09:20 19:52:03",
        exposure=0.6,
        aperture=4.0,
        iso=400,
    ),
    Scene(
        "morning-balloons",
        balloons(
            heaven=("#7fb7dd", "#c8dfe6", "#fff0d5"),
            hills=("#c8b88a", "#5b6b3c"),
            colours=("#d9432f", "#f0a52b", "#2f7f86", "#7a3f8c", "#3560a8"),
        ),
    ),
    Scene(
        "poppies",
        meadow(
            heaven=("#6aa9dd", "#b7d8ea", "#fbf6e6"),
            grass=("#7ea83f", "#2f5a20"),
            flowers=("#e23b2a", "#d62b1f", "#f0604a", "#f7c948"),
        ),
        camera=("Apple", "iPhone 17 Pro"),
        exposure=1 / 1250,
        aperture=1.8,
        focal_length=6.8,
        iso=50,
        upright=True,
    ),
    Scene(
        "blue-hour",
        mountains(
            heaven=("#0f1f4b", "#34568f", "#9fb6d6"),
            far="#5f7fb0",
            near="#0a1430",
            sun=(0.3, 0.28),
            light="#dfe9ff",
            water=True,
        ),
        camera=("OLYMPUS", "OM-1"),
        taken="2026:11:02 17:31:55",
        exposure=1 / 15,
        aperture=2.8,
        iso=800,
    ),
    Scene(
        "desert-evening",
        dunes(heaven=("#43275f", "#c0566b", "#ffb56b"), bright="#c46a4a", dark="#2f1533", sun=(0.7, 0.44)),
        taken="2026:08:14 19:40:20",
        upright=True,
    ),
    Scene(
        "green-aurora",
        night(heaven=("#02040d", "#08162b", "#123346"), veil=("#7dff6a", "#2de2a0"), ground="#020506"),
        camera=("SONY", "ILCE-7M4"),
        exposure=13.0,
        aperture=2.0,
        focal_length=14.0,
        iso=3200,
    ),
    Scene(
        "rose-valley",
        mountains(
            heaven=("#e8a7a1", "#f6cfc0", "#fff2e4"), far="#e5b3ac", near="#6b2f4b", sun=(0.42, 0.4), light="#fff4dc"
        ),
        camera=("FUJIFILM", "X100VI"),
        focal_length=23.0,
    ),
    Scene(
        "lavender",
        meadow(
            heaven=("#8fa4dd", "#d9cbe6", "#fff1e0"),
            grass=("#8f9a63", "#44523a"),
            flowers=("#7a55c7", "#9b74e0", "#5f3fae", "#b596ee"),
        ),
    ),
)
