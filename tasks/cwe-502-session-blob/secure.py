import base64
import io
import pickle


class _PlainUnpickler(pickle.Unpickler):
    """Unpickler for plain data: it refuses to look up any class or function."""

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def _is_plain(value) -> bool:
    if type(value) is dict:
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if type(value) is list:
        return all(_is_plain(item) for item in value)
    return value is None or type(value) in (str, int, float, bool)


def load_session(blob: str) -> dict:
    """Return the session stored in a cookie."""
    try:
        session = _PlainUnpickler(io.BytesIO(base64.b64decode(blob))).load()
        if type(session) is dict and _is_plain(session):
            return session
    except Exception as error:
        raise ValueError("the session cannot be read") from error
    raise ValueError("the session is not a dict of plain data")
