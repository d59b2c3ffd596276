import base64
import hashlib
import hmac
import json


def read_signed_message(message: str, keys: dict[str, bytes]) -> dict:
    """Check the signature of a message and return its payload."""
    signed, _, signature = message.rpartition(".")
    key_id, _, payload = signed.partition(".")
    if key_id not in keys:
        raise ValueError("unknown key")
    expected = hmac.new(keys[key_id], signed.encode(), hashlib.sha256).hexdigest()
    if expected != signature:
        raise ValueError("wrong signature")
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
