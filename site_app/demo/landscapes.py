"""The kinds of landscape there are: each gives a function that paints one, different with each random generator."""

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from site_app.demo.painting import (
    HEIGHT,
    WIDTH,
    blend,
    disc,
    glow,
    land,
    mirror,
    ridge,
    sky,
    stars,
    trees,
    wave,
)

Painter = Callable[[random.Random], Image.Image]


def mountains(
    *,
    heaven: tuple[str, str, str],
    far: str,
    near: str,
    sun: tuple[float, float] | None,
    light: str,
    water: bool = False,
) -> Painter:
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


def night(*, heaven: tuple[str, str, str], veil: tuple[str, ...], ground: str) -> Painter:
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


def dunes(*, heaven: tuple[str, str, str], bright: str, dark: str, sun: tuple[float, float]) -> Painter:
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


def city(*, heaven: tuple[str, str, str], walls: str, windows: tuple[str, ...]) -> Painter:
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


def balloons(*, heaven: tuple[str, str, str], hills: tuple[str, str], colours: tuple[str, ...]) -> Painter:
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


def meadow(*, heaven: tuple[str, str, str], grass: tuple[str, str], flowers: tuple[str, ...]) -> Painter:
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
