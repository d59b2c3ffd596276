import base64
import hmac
import json


def read_signed_message(message: str, keys: dict[str, bytes]) -> dict:
    """Return the payload of a signed message."""
    if message.count(".") != 2:
        raise ValueError("malformed message")
    key_id, payload, signature = message.split(".")
    if key_id not in keys or keys[key_id] == b"":
        raise ValueError("no such key")
    expected = hmac.new(keys[key_id], (key_id + "." + payload).encode(), "sha256").hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise ValueError("wrong signature")
    padding = "=" * (-len(payload) % 4)
    content = json.loads(base64.urlsafe_b64decode(payload + padding))
    if type(content) is not dict:
        raise ValueError("malformed payload")
    return content
