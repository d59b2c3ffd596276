import pickle


def load_session(blob: bytes) -> dict:
    """Return a session pickled by an older release."""
    return pickle.loads(blob)
