import zlib


def unpack_attachment(data: bytes, max_size: int) -> bytes:
    """Return the content of a packed attachment of at most max_size bytes."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, max_size + 1)
    except zlib.error as error:
        raise ValueError("not a zlib stream") from error
    if len(content) > max_size:
        raise ValueError(f"the attachment is larger than {max_size} bytes")
    if not unpacker.eof:
        raise ValueError("the zlib stream is incomplete")
    return content
