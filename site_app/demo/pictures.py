"""Photographs for the demo, drawn: a dozen landscapes of 12 megapixels each, as a camera would save them.

Every picture is the same on every machine. They are painted at half the size and enlarged, which is four times as fast
and makes no difference in any rendition.
"""

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

Colour = str | tuple[int, int, int]  # as Pillow takes them
Line = list[tuple[float, float]]

SIZE = (4000, 3000)  # pixels, as a 12-megapixel camera has them
WIDTH, HEIGHT = 2000, 1500  # pixels of the painting
STEP = 6  # pixels between the points of a ridge

EXIF_FOLDER, LIES_ON_ITS_SIDE = 0x8769, 6


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: how it is painted, and what the camera writes into it."""

    name: str
    paint: Callable[[random.Random], Image.Image]
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
    painting = scene.paint(random.Random(scene.name))  # noqa: S311  the same picture every time
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


# ---------------------------------------------------------------------------------------------------------- the painter


def sky(top: str, middle: str, bottom: str) -> Image.Image:
    """A sky of three colours, with the grain of film so that it has no bands."""
    ramp = ImageOps.colorize(Image.linear_gradient("L"), top, bottom, middle)
    return grain(ramp.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), 10)


def grain(image: Image.Image, strength: float) -> Image.Image:
    """The image with film grain."""
    noise = Image.effect_noise((image.width // 2, image.height // 2), strength).resize(image.size)
    return ImageChops.overlay(image, Image.merge("RGB", (noise, noise, noise)))


def glow(image: Image.Image, at: tuple[float, float], size: float, colour: Colour, strength: float = 1.0) -> None:
    """Light around a point; `at` and `size` are parts of the width and height, and of the width."""
    side = round(size * WIDTH)
    halo = ImageOps.invert(Image.radial_gradient("L")).resize((side, side), Image.Resampling.BICUBIC)
    halo = halo.point([round(255 * strength * (max(0, level - 74) / 181) ** 1.7) for level in range(256)])
    place = (round(at[0] * WIDTH - side / 2), round(at[1] * HEIGHT - side / 2))
    image.paste(Image.new("RGB", (side, side), colour), place, halo)


def disc(image: Image.Image, at: tuple[float, float], size: float, colour: Colour) -> None:
    """A sun or a moon, with a smooth edge."""
    side = round(size * WIDTH)
    mask = Image.new("L", (side * 3, side * 3))
    ImageDraw.Draw(mask).ellipse((0, 0, side * 3 - 1, side * 3 - 1), fill=255)
    place = (round(at[0] * WIDTH - side / 2), round(at[1] * HEIGHT - side / 2))
    image.paste(Image.new("RGB", (side, side), colour), place, mask.resize((side, side), Image.Resampling.LANCZOS))


def ridge(random_: random.Random, level: float, height: float, roughness: float) -> Line:
    """The line of some mountains: waves of all lengths. level: where it lies, 0 at the top; height: of its peaks."""
    waves = []
    for octave in range(1, 9):
        length = 2.4 / 1.9**octave
        waves.append((height * roughness**octave, length, random_.uniform(0, math.tau)))
    line: Line = []
    for x in range(-STEP, WIDTH + 2 * STEP, STEP):
        rise = sum(size * abs(math.sin(x / WIDTH / length + phase)) for size, length, phase in waves)
        line.append((x, HEIGHT * (level - rise)))
    return line


def wave(level: float, height: float, length: float, phase: float) -> Line:
    """A smooth line, as of dunes and hills."""
    return [
        (
            x,
            HEIGHT
            * (level - height * math.sin(x / WIDTH * math.tau / length + phase) - height / 3 * math.sin(x / 170)),
        )
        for x in range(-STEP, WIDTH + 2 * STEP, STEP)
    ]


def land(image: Image.Image, line: Line, colour: Colour, mist: Colour | None = None) -> None:
    """Fill everything under the line; with mist, the land fades into it downwards."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon([*line, (WIDTH + 9, HEIGHT), (-9, HEIGHT)], fill=255)
    mask = mask.filter(ImageFilter.BoxBlur(0.8))
    fill = Image.new("RGB", image.size, colour)
    if mist is not None:
        top = max(0, round(min(y for _, y in line)))
        fade = Image.linear_gradient("L").resize((WIDTH, max(1, (HEIGHT - top) // 2)))
        fill.paste(mist, (0, top, WIDTH, top + fade.height), fade.point([round(level * 0.85) for level in range(256)]))
        fill.paste(mist, (0, top + fade.height, WIDTH, HEIGHT))
    image.paste(grain(fill, 7), mask=mask)


def blend(one: str, other: str, part: float) -> tuple[int, int, int]:
    """The colour a part of the way from one to the other."""
    first, second = (bytes.fromhex(colour.removeprefix("#")) for colour in (one, other))
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def mirror(image: Image.Image, shore: float, tint: Colour, random_: random.Random) -> None:
    """Water from the shore downwards: what is above it upside down, tinted, broken by ripples."""
    line = round(shore * HEIGHT)
    depth = HEIGHT - line
    above = image.crop((0, max(0, line - depth), WIDTH, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    water = Image.blend(above.resize((WIDTH, depth)), Image.new("RGB", (WIDTH, depth), tint), 0.32)
    water = water.filter(ImageFilter.GaussianBlur(2.4))
    draw = ImageDraw.Draw(water, "RGBA")
    for _ in range(420):
        y = depth * random_.random() ** 0.6
        length = 20 + 260 * y / depth * random_.random()
        x = random_.uniform(-50, WIDTH)
        light = random_.choice(((255, 255, 255, 20), (0, 0, 0, 22)))
        draw.line((x, y, x + length, y), fill=light, width=1 + round(3 * y / depth))
    image.paste(water, (0, line))


def stars(image: Image.Image, count: int, random_: random.Random, until: float = 0.7) -> None:
    """Stars, fewer towards the horizon."""
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(count):
        x, y = random_.uniform(0, WIDTH), HEIGHT * until * random_.random() ** 1.5
        size = random_.choice((0.6, 0.8, 1.0, 1.0, 1.7))
        draw.ellipse((x - size, y - size, x + size, y + size), fill=(255, 250, 235, random_.randint(110, 255)))


def trees(image: Image.Image, line: Line, colour: Colour, size: float, random_: random.Random) -> None:
    """Firs along a line."""
    draw = ImageDraw.Draw(image)
    for x, y in line[:: max(1, round(size / 22))]:
        height = size * random_.uniform(0.5, 1.25)
        foot = y + size * 0.2
        for storey in range(4):
            half = height * 0.2 * (storey + 1) / 4
            top = foot - height * (1 - storey * 0.2)
            draw.polygon([(x, top), (x - half, top + height * 0.36), (x + half, top + height * 0.36)], fill=colour)


# ----------------------------------------------------------------------------------------------------------- the scenes


def mountains(
    *,
    heaven: tuple[str, str, str],
    far: str,
    near: str,
    sun: tuple[float, float] | None,
    light: str,
    water: bool = False,
) -> Callable[[random.Random], Image.Image]:
    """Ranges of mountains, one behind the other in the mist."""

    def paint(random_: random.Random) -> Image.Image:
        image = sky(*heaven)
        if sun:
            glow(image, sun, 1.3, light, 0.75)
            glow(image, sun, 0.42, light)
            disc(image, sun, 0.055, "#fffaf0")
        ranges = 5
        for number in range(ranges):
            part = number / (ranges - 1)
            line = ridge(random_, 0.62 + 0.3 * part * (0.35 if water else 1), 0.2 - 0.07 * part, 0.56)
            land(image, line, blend(far, near, part), None if part == 1 else blend(heaven[2], near, part * 0.8))
        if water:
            mirror(image, 0.72, near, random_)
        return image

    return paint


def night(
    *, heaven: tuple[str, str, str], veil: tuple[str, ...], ground: str
) -> Callable[[random.Random], Image.Image]:
    """Stars, northern lights, a forest."""

    def paint(random_: random.Random) -> Image.Image:
        image = sky(*heaven)
        stars(image, 900, random_)
        for number, colour in enumerate(veil):
            curtain = Image.new("L", (250, 188))
            pen = ImageDraw.Draw(curtain)
            phase = random_.uniform(0, 6)
            for x in range(250):
                crest = 92 + 17 * math.sin(x / 31 + phase) + 9 * math.sin(x / 11 + phase * 2) - 14 * number
                shine = 130 + 90 * math.sin(x / 6 + phase) * math.sin(x / 23)
                for y in range(70):
                    pen.point((x, round(crest - y)), fill=max(0, round(shine * (1 - y / 70) ** 1.8)))
            smooth = curtain.filter(ImageFilter.GaussianBlur(1.6)).resize(image.size, Image.Resampling.BICUBIC)
            image.paste(Image.new("RGB", image.size, colour), mask=smooth)
        line = ridge(random_, 0.86, 0.06, 0.55)
        land(image, line, ground)
        trees(image, line, ground, 120, random_)
        mirror(image, 0.9, ground, random_)
        return image

    return paint


def dunes(
    *, heaven: tuple[str, str, str], bright: str, dark: str, sun: tuple[float, float]
) -> Callable[[random.Random], Image.Image]:
    """Dunes, each with a bright and a shaded side."""

    def paint(random_: random.Random) -> Image.Image:
        image = sky(*heaven)
        glow(image, sun, 1.1, "#fff1cf", 0.8)
        disc(image, sun, 0.06, "#fffdf4")
        for number in range(6):
            part = number / 5
            line = wave(0.56 + 0.085 * number, 0.035 + 0.03 * part, random_.uniform(0.7, 1.5), random_.uniform(0, 6))
            land(
                image,
                line,
                blend(bright, dark, (0.55 * part + (number % 2) * 0.35)),
                blend(bright, heaven[2], 0.5 * (1 - part)),
            )
        return image

    return paint


def city(
    *, heaven: tuple[str, str, str], walls: str, windows: tuple[str, ...]
) -> Callable[[random.Random], Image.Image]:
    """A skyline over water, its windows lit."""

    def paint(random_: random.Random) -> Image.Image:
        image = sky(*heaven)
        glow(image, (0.5, 0.72), 1.6, heaven[2], 0.9)
        for row in range(3):
            pen = ImageDraw.Draw(image)
            wall = blend(heaven[2], walls, 0.45 + 0.27 * row)
            x = -20.0
            while x < WIDTH:
                width = random_.uniform(50, 150)
                top = HEIGHT * (
                    0.7 - random_.uniform(0.06, 0.38 - 0.07 * row) * math.sin(math.pi * (x + 60) / (WIDTH + 120))
                )
                pen.rectangle((x, top, x + width, HEIGHT * 0.75), fill=wall)
                if row:
                    light_windows(pen, (x, top, x + width), windows, random_)
                x += width + random_.uniform(-12, 14)
        mirror(image, 0.745, walls, random_)
        return image

    return paint


def light_windows(
    pen: ImageDraw.ImageDraw, house: tuple[float, float, float], colours: tuple[str, ...], random_: random.Random
) -> None:
    """Some of a house's windows are lit. house: left, top, right."""
    left, top, right = house
    for y in range(round(top) + 14, round(HEIGHT * 0.735), 19):
        for x in range(round(left) + 9, round(right) - 9, 13):
            if random_.random() < 0.42:  # noqa: PLR2004  somewhat less than half of them
                pen.rectangle((x, y, x + 5, y + 9), fill=random_.choice(colours))


def balloons(
    *, heaven: tuple[str, str, str], hills: tuple[str, str], colours: tuple[str, ...]
) -> Callable[[random.Random], Image.Image]:
    """Hot-air balloons over hills."""

    def paint(random_: random.Random) -> Image.Image:
        image = sky(*heaven)
        glow(image, (0.82, 0.56), 1.2, "#fff3dc", 0.85)
        for number in range(4):
            line = wave(0.74 + 0.07 * number, 0.03, random_.uniform(0.5, 1.2), random_.uniform(0, 6))
            land(image, line, blend(*hills, number / 3), blend(heaven[2], hills[0], number / 3))
        for number, (x, y, size) in enumerate(
            ((0.24, 0.3, 190), (0.53, 0.2, 120), (0.68, 0.43, 92), (0.4, 0.5, 62), (0.86, 0.25, 74))
        ):
            balloon(image, (x * WIDTH, y * HEIGHT), size, colours[number % len(colours)])
        return image

    return paint


def balloon(image: Image.Image, at: tuple[float, float], size: float, colour: str) -> None:
    """One balloon, striped, lit from the right."""
    x, y = at
    pen = ImageDraw.Draw(image)
    stripes = 6
    for stripe in range(stripes):
        half = size * math.cos(math.pi / 2 * stripe / stripes)
        shade = blend(colour, "#fff4e0" if stripe % 2 else "#3a1020", 0.72 if stripe % 2 else 0.18 - 0.03 * stripe)
        pen.ellipse((x - half, y - size, x + half, y + size), fill=shade)
        pen.polygon(
            [
                (x - half * 0.93, y + size * 0.35),
                (x + half * 0.93, y + size * 0.35),
                (x + half * 0.16, y + size * 1.28),
                (x - half * 0.16, y + size * 1.28),
            ],
            fill=shade,
        )
    pen.rectangle((x - size * 0.13, y + size * 1.42, x + size * 0.13, y + size * 1.62), fill="#4a3326")
    for side in (-1, 1):
        pen.line(
            (x + side * size * 0.15, y + size * 1.26, x + side * size * 0.12, y + size * 1.44), fill="#4a3326", width=2
        )


def meadow(
    *, heaven: tuple[str, str, str], grass: tuple[str, str], flowers: tuple[str, ...]
) -> Callable[[random.Random], Image.Image]:
    """Flowers, small in the distance and large in front."""

    def paint(random_: random.Random) -> Image.Image:
        image = sky(*heaven)
        glow(image, (0.3, 0.5), 1.3, "#fff6de", 0.7)
        land(image, ridge(random_, 0.58, 0.07, 0.55), blend(heaven[1], grass[1], 0.4), heaven[2])
        trees(image, far := wave(0.6, 0.012, 0.9, 1.0), blend(grass[1], heaven[1], 0.25), 60, random_)
        land(image, far, grass[0])
        pen = ImageDraw.Draw(image)
        for number in range(2600):
            depth = (number / 2600) ** 1.6
            x, y = random_.uniform(-20, WIDTH + 20), HEIGHT * (0.62 + 0.42 * depth)
            pen.line(
                (x, y, x + random_.uniform(-9, 9) * depth * 4, y - 12 - 150 * depth),
                fill=blend(*grass, random_.random()),
                width=1 + round(4 * depth),
            )
            if number % 2:
                size = 1.5 + 26 * depth * random_.uniform(0.6, 1)
                top = y - 10 - 140 * depth
                colour = random_.choice(flowers)
                pen.ellipse((x - size, top - size * 0.72, x + size, top + size * 0.72), fill=colour)
                pen.ellipse(
                    (x - size * 0.4, top - size * 0.2, x + size * 0.4, top + size * 0.3),
                    fill=blend(colour, "#2a1205", 0.55),
                )
        return image

    return paint


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
