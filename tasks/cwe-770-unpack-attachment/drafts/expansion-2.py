import zlib


def looks_like_zlib(data: bytes) -> bool:
    """Tell whether data starts with a zlib header."""
    if len(data) < 2:
        return False
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


def unpack_attachment(data: bytes) -> bytes:
    """Return the content of a packed attachment."""
    if not looks_like_zlib(data):
        raise ValueError("not a zlib stream")
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise ValueError("not a complete zlib stream") from error
