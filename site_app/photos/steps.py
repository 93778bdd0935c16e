"""The steps every photo goes through: one job each. Pure values."""

from dataclasses import dataclass

PALETTE = "palette"
DETAILS = "details"


@dataclass(frozen=True, slots=True)
class RenditionSize:
    """One file made from a photo."""

    width: int
    """Pixels; a smaller photo keeps its width."""
    format: str
    """WEBP or JPEG, as Pillow says it."""

    @property
    def name(self) -> str:
        """The step's name and the file's, such as `800.webp`."""
        return f"{self.width}.{'webp' if self.format == 'WEBP' else 'jpg'}"

    @property
    def label(self) -> str:
        """What a visitor reads."""
        return f"{self.width} px {'WebP' if self.format == 'WEBP' else 'JPEG'}"


THUMBNAIL = RenditionSize(320, "WEBP")
MEDIUM = RenditionSize(800, "WEBP")
LARGE = RenditionSize(1600, "WEBP")
SHARED = RenditionSize(1600, "JPEG")  # for programs that know no WebP

RENDITIONS = (THUMBNAIL, MEDIUM, LARGE, SHARED)

# Each step's name and what a visitor reads, in the order they are shown.
LABELS = {size.name: size.label for size in RENDITIONS} | {PALETTE: "Palette", DETAILS: "Camera details"}
