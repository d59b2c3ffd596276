import zlib


def _check_size(size: int, max_size: int) -> None:
    if size > max_size:
        raise ValueError("attachment too large")


def _decompress(data: bytes, limit: int) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, limit)
    except zlib.error as error:
        raise ValueError("bad stream") from error
    return content, unpacker.eof


def unpack_attachment(data: bytes, max_size: int) -> bytes:
    """Unpack an uploaded attachment."""
    content, complete = _decompress(data, max_size + 1)
    _check_size(len(content), max_size)
    if not complete:
        raise ValueError("incomplete stream")
    return content
