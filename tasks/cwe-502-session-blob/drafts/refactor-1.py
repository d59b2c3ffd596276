import base64
import pickle
import pickletools

_LOOKUPS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "EXT1", "EXT2", "EXT4"}


def load_session(blob: str) -> dict:
    """Restore a session from a cookie."""
    try:
        data = base64.b64decode(blob)
        if any(opcode.name in _LOOKUPS for opcode, _, _ in pickletools.genops(data)):
            raise ValueError("objects are not allowed")
        session = pickle.loads(data)
    except Exception as error:
        raise ValueError("unreadable session") from error
    if not isinstance(session, dict):
        raise ValueError("not a session")
    return session
