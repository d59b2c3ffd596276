import base64
import hmac
import json


def _check_signature(key: bytes, signed: str, signature: str) -> None:
    if not key:
        raise ValueError("no such key")
    expected = hmac.new(key, signed.encode(), "sha256").hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise ValueError("wrong signature")


def _decode_payload(payload: str) -> dict:
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if type(content) is not dict:
        raise ValueError("malformed payload")
    return content


def read_signed_message(message: str, keys: dict[str, bytes]) -> dict:
    """Return the payload of a signed message."""
    if message.count(".") != 2:
        raise ValueError("malformed message")
    key_id, payload, signature = message.split(".")
    _check_signature(keys.get(key_id, b""), f"{key_id}.{payload}", signature)
    return _decode_payload(payload)
