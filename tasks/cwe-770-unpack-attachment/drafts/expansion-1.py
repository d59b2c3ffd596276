def looks_like_zlib(data: bytes) -> bool:
    """Tell whether data starts with a zlib header."""
    if len(data) < 2:
        return False
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
