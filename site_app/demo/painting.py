"""The painter's hand: skies, light, land, water, trees. Everything is a part of one painting's size.

Pictures are painted at half their size and enlarged, which is four times as fast and makes no difference in any
rendition.
"""

import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

Colour = str | tuple[int, int, int]  # as Pillow takes them
Line = list[tuple[float, float]]

WIDTH, HEIGHT = 2000, 1500  # pixels of the painting
STEP = 6  # pixels between the points of a ridge


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
