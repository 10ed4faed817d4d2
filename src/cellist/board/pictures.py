"""Small pictures of values: PNG as data URIs, made without any imaging library."""

import base64
import io
import struct
import sys
import zlib
from typing import Any

SIDE = 240
"""Pixels of the longer side of a thumbnail."""
_ENLARGED_TO = 96
_LEAST = 8
_MOST_ASPECT = 16
MOST_BYTES = 300_000
"""A picture of more bytes is not sent."""


def data_uri(blob: bytes, kind: str = "image/png") -> str:
    """Return a picture as a data URI."""
    return f"data:{kind};base64," + base64.b64encode(blob).decode()


def png(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """Return raw bytes, 1 channel grey, 3 RGB or 4 RGBA, as a PNG file."""
    stride = width * channels
    rows = b"".join(b"\0" + pixels[y * stride : (y + 1) * stride] for y in range(height))
    colour = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def is_image_like(shape: tuple[int, ...], kind: str) -> bool:
    """Whether an array of this shape and kind of dtype is likely to be a picture."""
    if kind not in "buif" or len(shape) not in (2, 3):
        return False
    height, width = shape[:2]
    if min(height, width) < _LEAST or max(height, width) > _MOST_ASPECT * min(height, width):
        return False
    return len(shape) == 2 or shape[2] in (1, 3, 4)


def of_array(array: Any) -> str:
    """Return a thumbnail of an image-like numpy array. Only the pixels that are shown are read."""
    numpy: Any = sys.modules["numpy"]
    step = max(1, -(-max(array.shape[:2]) // SIDE))
    small = numpy.asarray(array[::step, ::step])
    if small.ndim == 3 and small.shape[2] == 1:
        small = small[:, :, 0]
    if small.dtype != numpy.uint8:
        small = _as_bytes(numpy, small)
    times = max(1, _ENLARGED_TO // max(small.shape[:2]))
    if times > 1:
        small = small.repeat(times, 0).repeat(times, 1)
    height, width = small.shape[:2]
    channels = 1 if small.ndim == 2 else small.shape[2]
    return data_uri(png(numpy.ascontiguousarray(small).tobytes(), width, height, channels))


def _as_bytes(numpy: Any, small: Any) -> Any:
    """Return values scaled to 0..255: colours by the usual ranges, others from least to most."""
    small = small.astype(numpy.float64)
    finite = numpy.isfinite(small)
    low, high = (small[finite].min(), small[finite].max()) if finite.any() else (0.0, 1.0)
    if small.ndim == 3 and low >= 0:
        low, high = 0.0, 1.0 if high <= 1 else max(high, 255.0)
    span = (high - low) or 1.0
    scaled = (numpy.where(finite, small, low) - low) / span
    return (scaled.clip(0, 1) * 255).astype(numpy.uint8)


def of_image(image: Any) -> str:
    """Return a thumbnail of a PIL image, which stays as it is."""
    copy = image.copy()
    copy.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    copy.convert("RGBA").save(out, "PNG")
    return data_uri(out.getvalue())


def of_figure(figure: Any) -> str:
    """Return a matplotlib figure as a picture, about 500 pixels wide."""
    out = io.BytesIO()
    width = float(figure.get_figwidth()) or 6.4
    figure.savefig(out, format="png", dpi=min(100.0, 520 / width))
    return data_uri(out.getvalue())


def forget_figure(value: Any) -> None:
    """Take a figure that was unpickled away from pyplot, which would show it under some cell.

    A figure that was open when it was pickled opens itself again.
    """
    helpers: Any = sys.modules.get("matplotlib._pylab_helpers")
    figure = getattr(value, "figure", value)
    if helpers is None or type(figure).__module__ != "matplotlib.figure":
        return
    for number, manager in list(helpers.Gcf.figs.items()):
        if manager.canvas.figure is figure:
            helpers.Gcf.figs.pop(number, None)
    inline: Any = sys.modules.get("matplotlib_inline.backend_inline")
    waiting = getattr(getattr(inline, "show", None), "_to_draw", None)
    if waiting is not None and figure in waiting:
        waiting.remove(figure)
