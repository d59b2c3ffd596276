import base64
import pickle


def load_session(blob: str) -> dict:
    """Return the session stored in a cookie."""
    try:
        session = pickle.loads(base64.b64decode(blob))
    except Exception as error:
        raise ValueError("the session cannot be read") from error
    if not isinstance(session, dict):
        raise ValueError("the session is not a dict")
    plain = (str, int, float, bool, list, dict, type(None))
    if not all(isinstance(value, plain) for value in session.values()):
        raise ValueError("the session holds unexpected data")
    return session
