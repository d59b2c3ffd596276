import hashlib
import hmac


def sign(key: bytes, text: str) -> str:
    """Return the hexadecimal HMAC-SHA256 of text."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
