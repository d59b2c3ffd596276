import zlib


def unpack_attachment(data: bytes, max_size: int) -> bytes:
    """Return the content of a packed attachment of at most max_size bytes."""
    if len(data) > max_size:
        raise ValueError(f"the attachment is larger than {max_size} bytes")
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise ValueError("not a complete zlib stream") from error
