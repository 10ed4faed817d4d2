"""Digests of numpy values, scipy's sparse matrices, images and tensors, by content.

Arrays: dtype, shape and the elements in C order, so order in memory, views and memory maps do not
count. Buffers are hashed where they lie; an array that is not C-contiguous is walked in blocks of
a few megabytes. What has no meaning is left out: padding of structured dtypes and of long
doubles, what lies under a mask. Object and string arrays are told element by element.

No library is imported here: the tables of rules go by `package.Qualname` (see `stdlib_digests`),
and numpy is taken from where it is loaded if one of its values is met.
"""

import gc
import sys
from collections.abc import Callable, Generator, Iterator
from io import BytesIO
from types import FunctionType
from typing import Any

from cellist.caching.encoding import bulk, head, integer, leaf, node, stream, text
from cellist.caching.refusals import Refusal

Rule = Generator[tuple[str, Any], bytes, bytes]
Handler = Callable[[Any], "bytes | Rule"]

_BLOCK = 4 << 20
_PALETTED = frozenset(("P", "PA"))


def dtype_rule(dtype: Any) -> Rule:
    """Rule of a numpy dtype: its full description, with metadata."""
    if dtype.names is not None:
        tokens = [integer(dtype.itemsize)]
        for name in dtype.names:
            field = dtype.fields[name]
            title = field[2] if len(field) > 2 else None
            tokens += [text(name), integer(field[1]), (yield "", title)]
            tokens.append((yield from dtype_rule(field[0])))
        if dtype.type.__name__ != "void":  # `np.record`, whose fields are attributes
            tokens.append(text(dtype.type.__name__))
    elif dtype.subdtype is not None:
        tokens = [(yield "", dtype.subdtype[1]), (yield from dtype_rule(dtype.subdtype[0]))]
    elif dtype.kind == "T":
        missing = getattr(dtype, "na_object", None)
        tokens = [text("T"), (yield "", missing), (yield "", dtype.coerce)]
        if missing is None and hasattr(dtype, "na_object"):
            tokens.append(text("None is missing"))
    else:
        tokens = [text(dtype.str)]
        if dtype.type.__module__ != "numpy":  # such as bfloat16, which calls itself `V2`
            tokens.append(text(f"{dtype.type.__module__}.{dtype.type.__qualname__}"))
    if dtype.metadata:
        tokens.append((yield ".metadata", dict(dtype.metadata)))
    return node("dtype", *tokens)


def _shape(shape: tuple[int, ...]) -> bytes:
    return node("shape", *map(integer, shape))


def blocks(values: Any) -> Iterator[Any]:
    """Yield the elements of an array as flat byte arrays in C order, without copying much."""
    import numpy as np

    if values.flags.c_contiguous:
        yield values.reshape(-1).view(np.uint8)
        return
    if values.nbytes <= _BLOCK or not values.shape[0]:
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return
    if values.nbytes // values.shape[0] > _BLOCK:
        for part in values:
            yield from blocks(part)
        return
    rows = max(1, _BLOCK * values.shape[0] // values.nbytes)
    for first in range(0, values.shape[0], rows):
        yield np.ascontiguousarray(values[first : first + rows]).reshape(-1).view(np.uint8)


def content(values: Any) -> Rule:
    """Token of an array's dtype, shape and elements."""
    dtype = values.dtype
    described = yield from dtype_rule(dtype)
    shape = _shape(values.shape)
    if dtype.names is not None:
        tokens: list[bytes] = []
        for name in dtype.names:
            token = yield from content(values[name])
            tokens.append(token)
        return node("records", described, shape, *tokens)
    if dtype.kind in "OT":
        return node("elements", described, shape, (yield "", values.reshape(-1).tolist()))
    start = head("elements", described, shape)
    if not values.nbytes:
        return bulk(start)
    values = _without_padding(values)
    if values.nbytes < 1 << 16:
        return bulk(start, memoryview(next(blocks(_contiguous(values)))))
    return stream(start, _views(values), values.nbytes)


def _contiguous(values: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(values)


def _views(values: Any) -> Iterator[memoryview]:
    for block in blocks(values):
        yield memoryview(block)


def _without_padding(values: Any) -> Any:
    """Return x87 long doubles as the ten bytes of each that mean something."""
    import numpy as np

    if values.dtype.kind not in "fc" or values.dtype.char not in "gG":
        return values
    part = np.finfo(values.dtype)
    if part.nmant != 63:
        return values
    raw = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return np.ascontiguousarray(raw.reshape(-1, np.dtype(np.longdouble).itemsize)[:, :10])


def _ndarray(values: Any) -> Rule:
    import numpy as np

    name = type(values).__qualname__
    name = "ndarray" if name == "memmap" or _package(values) != "numpy" else name
    return node(name, (yield from content(values.view(np.ndarray))))


def _package(value: Any) -> str:
    return str(type(value).__module__).partition(".")[0]


def _masked(values: Any) -> Rule:
    import numpy as np

    if type(values).__qualname__ == "MaskedConstant":
        return node("masked constant")
    mask = np.ma.getmaskarray(values)
    filled = np.asarray(values.filled(np.zeros((), values.dtype)))
    tokens = [(yield from content(filled)), (yield from content(np.asarray(mask)))]
    fill: Any = values.fill_value
    if values.dtype.kind == "O" and isinstance(fill, np.str_):
        fill = str(fill)  # pickle turns one into the other
    elif values.dtype.kind in "SU":
        fill = np.asarray(fill).astype(values.dtype)[()]  # pickle cuts it to the width
    tokens += [(yield ".fill_value", fill), (yield "", bool(values.hardmask))]
    if values.baseclass is not np.ndarray:
        tokens.append((yield ".baseclass", values.baseclass))
    return node("masked", *tokens)


def _scalar(value: Any) -> Rule:
    import numpy as np

    if value.dtype.kind == "f" and np.isnan(value):
        return node("npscalar", (yield from dtype_rule(value.dtype)), text("nan"))
    if value.dtype.kind == "c" and np.isnan(value):
        parts = [(yield "", value.real), (yield "", value.imag)]
        return node("npscalar", *parts)
    return node("npscalar", (yield from content(np.asarray(value))))


def _generator(value: Any) -> Rule:
    kind = type(value).__qualname__
    return node("random", text(kind), (yield ".bit_generator", value.bit_generator))


def _bit_generator(value: Any) -> Rule:
    # Children are spawned from the seed sequence, so it is part of what happens next.
    seeds = getattr(value, "seed_seq", None)
    return node("bits", (yield ".state", value.state), (yield ".seed_seq", seeds))


def _seeds(value: Any) -> Rule:
    parts = (value.entropy, value.spawn_key, value.pool_size, value.n_children_spawned)
    return node("SeedSequence", (yield "", parts))


def _random_state(value: Any) -> Rule:
    if value is getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None):
        return node("RandomState", text("shared"))  # which `np.random.random` draws from, too
    return node("RandomState", (yield ".get_state()", value.get_state(legacy=False)))


def _ufunc(value: Any) -> Rule:
    told = [text(value.__name__), integer(value.nin), integer(value.nout)]
    if getattr(sys.modules["numpy"], value.__name__, None) is value:
        return node("ufunc", *told)
    if getattr(sys.modules.get("scipy.special"), value.__name__, None) is value:
        return node("ufunc", text("scipy.special"), *told)
    # `frompyfunc` does not say of which function.
    made_of = [one for one in gc.get_referents(value) if type(one) is FunctionType]
    if not made_of:
        message = "is made of a function it does not tell; pass the function"
        raise Refusal(message)
    return node("ufunc", *told, (yield ".__wrapped__", made_of))


def _sparse(value: Any) -> Rule:
    """Sparse matrices and arrays by format, shape and the arrays of the format as they are."""
    name = type(value).__qualname__
    parts: dict[str, Any] = {}
    form = str(value.format)
    if form in ("csr", "csc", "bsr"):
        parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr}
    elif form == "coo":
        parts = {"data": value.data, "row": value.row, "col": value.col}
        if getattr(value, "ndim", 2) != 2:
            parts = {"data": value.data, "coords": value.coords}
    elif form == "dia":
        parts = {"data": value.data, "offsets": value.offsets}
    elif form == "lil":
        parts = {"data": value.data, "rows": value.rows, "dtype": value.dtype}
    else:
        parts = _entries(value)
    shape = tuple(int(size) for size in value.shape)
    return node("sparse", text(name), text(form), (yield "", shape), (yield "", [*parts.items()]))


def _entries(value: Any) -> dict[str, Any]:
    """Return the entries of a matrix by keys in the order of the keys, whose types vary."""
    import numpy as np

    entries = sorted((np.atleast_1d(key).tolist(), item) for key, item in value.items())
    data = np.array([item for _, item in entries], value.dtype)
    return {"coords": [key for key, _ in entries], "data": data}


def _frames(value: Any) -> list[bytes]:
    """Tokens of an animation's file, which leads to the other frames, and of the position."""
    file: Any = getattr(value, "fp", None) or getattr(value, "_fp", None)
    if not hasattr(file, "read") or file.closed:
        if value.__dict__.get("n_frames", 1) > 1:
            message = "has frames that are not loaded; pass a list of them"
            raise Refusal(message)
        return []
    at = file.tell()
    file.seek(0)
    whole = file.read()
    file.seek(at)
    # Another image is asked, because counting frames changes the one that is asked.
    if getattr(sys.modules["PIL.Image"].open(BytesIO(whole)), "n_frames", 1) == 1:
        return []
    return [node("frames", integer(value.tell()), leaf(b"b", whole))]


def _image(value: Any) -> Rule:
    """An image by mode, size, pixels and palette, with what its file said about it."""
    value.load()
    colours = value.getpalette("RGBA") or None if value.mode in _PALETTED else None
    info = {key: value.info[key] for key in sorted(value.info, key=str)}
    tokens = [(yield "", value.mode), (yield "", value.size), (yield ".palette", colours)]
    tokens += [(yield ".info", info), leaf(b"b", value.tobytes())]
    return node("image", *tokens, *_exif(value), *_frames(value))


def _exif(value: Any) -> list[bytes]:
    """Tokens of what was changed in the notes of the camera since they were read from the file."""
    notes = value.__dict__.get("_exif")
    if notes is None or not getattr(notes, "_loaded", True):
        return []
    now = notes.tobytes()
    value._exif = None
    try:
        before = value.getexif().tobytes()
    except Exception:  # the file is closed
        before = None
    value._exif = notes
    return [] if now == before else [node("exif", leaf(b"b", now))]


def _tensor(value: Any) -> Rule:
    torch: Any = sys.modules["torch"]
    if value.layout is not torch.strided or value.is_quantized:
        message = "is a sparse or quantized tensor; pass its parts"
        raise Refusal(message)
    flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    raw = flat.view(torch.uint8).numpy() if flat.numel() else b""
    shape = tuple(int(size) for size in value.shape)
    tokens = [
        text(type(value).__qualname__),
        text(str(value.dtype)),
        (yield "", shape),
        text(value.device.type),
        (yield "", bool(value.requires_grad)),
    ]
    return bulk(head("tensor", *tokens), raw)


def _dtype(value: Any) -> Rule:
    return node("np.dtype", (yield from dtype_rule(value)))


def _finfo(value: Any) -> Rule:
    """Rule of the limits of a type; it computes them when they are asked for."""
    return node("np.finfo", (yield ".dtype", value.dtype))


EXACT: dict[str, Handler] = {"numpy.finfo": _finfo}
OWN_ATTRIBUTES: dict[str, frozenset[str]] = {
    "scipy._spbase": frozenset(
        (
            *("_shape", "maxprint", "indptr", "indices", "data", "coords", "row", "col", "offsets"),
            *("rows", "dtype", "_dict", "has_canonical_format", "_has_canonical_format"),
            *("has_sorted_indices", "_has_sorted_indices"),
        )
    ),
    "scipy.UnivariateSpline": frozenset(("_data", "_eval_args", "_spline_class", "ext")),
    "PIL.Image": frozenset(
        (
            *("_im", "im", "_mode", "mode", "_size", "palette", "info", "_readonly", "readonly"),
            *("_exif", "_category", "category", "pyaccess"),
        )
    ),
}
"""Where types of libraries keep what their rules tell, and their caches."""

BASES: dict[str, Handler] = {
    "numpy.MaskedArray": _masked,
    "numpy.ndarray": _ndarray,
    "numpy.generic": _scalar,
    "numpy.dtype": _dtype,
    "numpy.ufunc": _ufunc,
    "numpy.Generator": _generator,
    "numpy.BitGenerator": _bit_generator,
    "numpy.SeedSequence": _seeds,
    "numpy.RandomState": _random_state,
    "scipy._spbase": _sparse,
    "PIL.Image": _image,
    "torch.Tensor": _tensor,
}
