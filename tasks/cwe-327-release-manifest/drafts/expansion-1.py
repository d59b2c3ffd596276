import hashlib


def digest_of(content: bytes, algorithm: str) -> str:
    """Return the algorithm and the hex digest of content."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
