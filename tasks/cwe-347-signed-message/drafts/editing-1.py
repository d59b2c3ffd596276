import base64
import hashlib
import hmac
import json


def read_signed_message(message: str, key: bytes) -> dict:
    """Check the signature of a message and return its payload."""
    payload, _, signature = message.partition(".")
    expected = hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()
    if expected != signature:
        raise ValueError("wrong signature")
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
