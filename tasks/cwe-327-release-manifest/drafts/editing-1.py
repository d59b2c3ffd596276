import hashlib


def release_manifest(files: dict[str, bytes]) -> dict[str, str]:
    """Map each file name to the SHA-256 digest of the file."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
