import hashlib


def digest_of(content: bytes, algorithm: str) -> str:
    """Return the algorithm and the hex digest of content."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def release_manifest(files: dict[str, bytes], algorithm: str) -> dict[str, str]:
    """Map each file name to the digest of the file."""
    return {name: digest_of(files[name], algorithm) for name in sorted(files)}
