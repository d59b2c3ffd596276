import zlib


def unpack_attachment(data: bytes) -> bytes:
    """Return the content of a packed attachment."""
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise ValueError("not a complete zlib stream") from error
