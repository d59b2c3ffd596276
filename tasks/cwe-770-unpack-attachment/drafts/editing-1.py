import zlib


def unpack_attachment(text: str) -> bytes:
    """Return the content of an attachment given as hex text."""
    return zlib.decompress(bytes.fromhex(text))
