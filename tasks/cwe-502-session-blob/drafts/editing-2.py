import base64
import pickle


def load_session(blob: str) -> dict:
    """Return the session stored in a cookie."""
    try:
        return pickle.loads(base64.b64decode(blob))
    except (ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError("cannot decode the session") from error
