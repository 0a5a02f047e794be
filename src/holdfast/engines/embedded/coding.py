"""Reed-Solomon over GF(256): ISA-L called by ctypes on the caller's own buffers.

The writer, the reader and the rebuilding of pieces call it. Parity is that of ISA-L's
`gf_gen_cauchy1_matrix` and `ec_encode_data`, fixed in the on-disk format by golden vectors. It
copies nothing, keeps no buffer, and lets other threads run while it works.

The library is the one that the pyeclib wheel carries, else the system's. pyeclib itself is not
imported: its own calls allocate and copy.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from holdfast import errors

WIDTH_MAX = 64
_TABLE_BYTES = 32
_SYSTEM_LIBRARY = "libisal.so.2"

Buffer = bytes | bytearray | memoryview


class Coder:
    """k data and m parity buffers of one length; any k of them give back the others."""

    def __init__(self, k: int, m: int) -> None:
        if k < 1 or m < 0 or k + m > WIDTH_MAX:
            raise errors.BugError(
                "coding.bad_width", "no code of {k}+{m} buffers", k=k, m=m,
                hint="data is at least 1, parity at least 0, both together at most 64",
            )
        self.k = k
        self.m = m
        self._matrix = _cauchy_matrix(k, m)
        self._encode_table = _expand(k, self._matrix[k * k :])
        self._decode_table = functools.lru_cache(maxsize=256)(self._make_decode_table)

    def encode(self, data: Sequence[Buffer], parity: Sequence[Buffer]) -> None:
        """Fill the m `parity` buffers, which must be writable, from the k `data` buffers."""
        assert len(data) == self.k
        assert len(parity) == self.m
        if self.m:
            _multiply(self._encode_table, data, parity)

    def reconstruct(
        self, present: Mapping[int, Buffer], wanted: Sequence[int], out: Sequence[Buffer]
    ) -> None:
        """Fill `out[i]` with what buffer number `wanted[i]` holds.

        Numbers below k are data, the others parity. `present` needs at least k of them, of which
        the lowest k are used.
        """
        assert len(present) >= self.k
        assert len(wanted) == len(out)
        if not wanted:
            return
        sources = tuple(sorted(present)[: self.k])
        table = self._decode_table(sources, tuple(wanted))
        _multiply(table, [present[number] for number in sources], out)

    def _make_decode_table(
        self, sources: tuple[int, ...], wanted: tuple[int, ...]
    ) -> ctypes.Array[ctypes.c_ubyte]:
        k = self.k
        rows = b"".join(self._matrix[number * k : number * k + k] for number in sources)
        inverse = _invert(k, rows)
        wanted_rows = bytearray()
        for number in wanted:
            row = self._matrix[number * k : number * k + k]
            wanted_rows += inverse[number * k : number * k + k] if number < k else _row_times(
                row, inverse, k
            )
        return _expand(k, bytes(wanted_rows))


@functools.lru_cache(maxsize=64)
def coder(k: int, m: int) -> Coder:
    """The shared coder of k+m; coders are thread-safe."""
    return Coder(k, m)


@functools.cache
def library() -> ctypes.CDLL:
    """ISA-L. Raises HoldfastError when there is none."""
    for candidate in (*_bundled(), _SYSTEM_LIBRARY):
        try:
            found = ctypes.CDLL(str(candidate))
        except OSError:
            continue
        return _declare(found)
    raise errors.HoldfastError(
        "coding.no_library", "the ISA-L library for erasure coding was not found",
        hint="pip install pyeclib brings it, and so does the system package {package}",
        package="libisal2",
    )


class _PyBuffer(ctypes.Structure):
    """`Py_buffer` of the stable ABI."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_SIMPLE, _WRITABLE = 0, 1
_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int)
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_PyBuffer),)
_release_buffer.restype = None


@contextlib.contextmanager
def _addresses(
    buffers: Sequence[Buffer], length: int, flags: int
) -> Iterator[ctypes.Array[ctypes.c_void_p]]:
    """Where the buffers lie, all of `length` bytes; they stay there for the block."""
    views = (_PyBuffer * len(buffers))()
    held = 0
    try:
        for view, buffer in zip(views, buffers, strict=True):
            _get_buffer(buffer, ctypes.byref(view), flags)
            held += 1
            if view.len != length:
                raise errors.BugError(
                    "coding.unequal_lengths", "buffers of {one} and {other} bytes in one code word",
                    hint="all data and parity buffers have one length", one=length, other=view.len,
                )
        yield (ctypes.c_void_p * len(buffers))(*(view.buf for view in views))
    finally:
        for number in range(held):
            _release_buffer(ctypes.byref(views[number]))


def _multiply(
    table: ctypes.Array[ctypes.c_ubyte], sources: Sequence[Buffer], targets: Sequence[Buffer]
) -> None:
    length = memoryview(sources[0]).nbytes
    with (
        _addresses(sources, length, _SIMPLE) as source_pointers,
        _addresses(targets, length, _WRITABLE) as target_pointers,
    ):
        library().ec_encode_data(
            length, len(sources), len(targets), table, source_pointers, target_pointers
        )


def _cauchy_matrix(k: int, m: int) -> bytes:
    """(k + m) rows of k: the unit matrix, then the Cauchy rows."""
    matrix = (ctypes.c_ubyte * ((k + m) * k))()
    library().gf_gen_cauchy1_matrix(matrix, k + m, k)
    return bytes(matrix)


def _invert(k: int, rows: bytes) -> bytes:
    source = (ctypes.c_ubyte * (k * k)).from_buffer_copy(rows)
    inverse = (ctypes.c_ubyte * (k * k))()
    if library().gf_invert_matrix(source, inverse, k) != 0:
        raise errors.BugError(
            "coding.singular", "a decoding matrix of {k} rows cannot be inverted", k=k,
            hint="every k rows of a Cauchy matrix can be; please report this",
        )
    return bytes(inverse)


def _row_times(row: bytes, matrix: bytes, k: int) -> bytes:
    """The product row · matrix over GF(256)."""
    product = bytearray(k)
    multiply = library().gf_mul
    for column in range(k):
        for index in range(k):
            product[column] ^= multiply(row[index], matrix[index * k + column])
    return bytes(product)


def _expand(k: int, rows: bytes) -> ctypes.Array[ctypes.c_ubyte]:
    """The lookup tables of `rows`, each of k coefficients."""
    count = len(rows) // k
    table = (ctypes.c_ubyte * (_TABLE_BYTES * k * count))()
    if count:
        coefficients = (ctypes.c_ubyte * len(rows)).from_buffer_copy(rows)
        library().ec_init_tables(k, count, coefficients, table)
    return table


def _bundled() -> tuple[Path, ...]:
    """ISA-L inside the pyeclib wheel, found without importing pyeclib."""
    spec = importlib.util.find_spec("pyeclib")
    if spec is None or spec.origin is None:
        return ()
    folder = Path(spec.origin).parent.parent / "pyeclib.libs"
    return tuple(sorted(folder.glob("libisal-*.so*")))


def _declare(found: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    found.gf_gen_cauchy1_matrix.argtypes = (pointer, integer, integer)
    found.gf_gen_cauchy1_matrix.restype = None
    found.ec_init_tables.argtypes = (integer, integer, pointer, pointer)
    found.ec_init_tables.restype = None
    found.ec_encode_data.argtypes = (integer, integer, integer, pointer, pointer, pointer)
    found.ec_encode_data.restype = None
    found.gf_invert_matrix.argtypes = (pointer, pointer, integer)
    found.gf_invert_matrix.restype = integer
    found.gf_mul.argtypes = (ctypes.c_ubyte, ctypes.c_ubyte)
    found.gf_mul.restype = ctypes.c_ubyte
    return found
