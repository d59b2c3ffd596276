import base64
import binascii
import pickle


def decode_cookie(blob: str) -> bytes:
    """Return the bytes of a base64 cookie value."""
    try:
        return base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise ValueError("not valid base64") from error


def load_session(blob: str) -> dict:
    """Return the session stored in a cookie."""
    return pickle.loads(decode_cookie(blob))
