def merge_settings(settings: dict, changes: dict) -> dict:
    """Return a copy of settings with the chosen theme and language."""
    merged = dict(settings)
    for name in ("theme", "language"):
        if name in changes:
            merged[name] = changes[name]
    return merged
