import base64
import hashlib
import hmac
import json


def sign(key: bytes, text: str) -> str:
    """Return the hexadecimal HMAC-SHA256 of text."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def read_signed_message(message: str, keys: dict[str, bytes]) -> dict:
    """Check the signature of a message and return its payload."""
    key_id, payload, signature = message.split(".")
    if sign(keys[key_id], f"{key_id}.{payload}") != signature:
        raise ValueError("wrong signature")
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
