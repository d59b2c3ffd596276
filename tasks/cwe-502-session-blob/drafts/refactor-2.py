import base64
import pickle
import pickletools

_LOOKUPS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "EXT1", "EXT2", "EXT4"}


def _decode(blob: str) -> bytes:
    try:
        return base64.b64decode(blob)
    except ValueError as error:
        raise ValueError("not base64") from error


def _load(data: bytes):
    try:
        if any(opcode.name in _LOOKUPS for opcode, _, _ in pickletools.genops(data)):
            raise ValueError("objects are not allowed")
        return pickle.loads(data)
    except Exception as error:
        raise ValueError("unreadable session") from error


def load_session(blob: str) -> dict:
    """Restore a session from a cookie."""
    session = _load(_decode(blob))
    if not isinstance(session, dict):
        raise ValueError("not a session")
    return session
