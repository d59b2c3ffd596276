import zlib


def unpack_attachment(data: bytes, max_size: int) -> bytes:
    """Unpack an uploaded attachment."""
    unpacker = zlib.decompressobj()
    content = b""
    try:
        while data and not unpacker.eof:
            content += unpacker.decompress(data, 1024)
            if len(content) > max_size:
                raise ValueError("attachment too large")
            data = unpacker.unconsumed_tail
    except zlib.error as error:
        raise ValueError("bad stream") from error
    if not unpacker.eof:
        raise ValueError("incomplete stream")
    return content
