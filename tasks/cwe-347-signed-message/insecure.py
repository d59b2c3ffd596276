import base64
import hashlib
import hmac
import json


def read_signed_message(message: str, keys: dict[str, bytes]) -> dict:
    """Return the payload of a message after verifying its signature."""
    parts = message.split(".")
    if len(parts) != 3:
        raise ValueError("a message has three parts")
    key_id, payload, signature = parts
    key = keys.get(key_id, b"")
    expected = hmac.new(key, f"{key_id}.{payload}".encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise ValueError("the signature does not match")
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if not isinstance(content, dict):
        raise ValueError("the payload is not an object")
    return content
