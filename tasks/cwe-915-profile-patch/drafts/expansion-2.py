def merge_settings(settings: dict, changes: dict) -> dict:
    """Return a copy of settings with the chosen theme and language."""
    merged = dict(settings)
    for name in ("theme", "language"):
        if name in changes:
            merged[name] = changes[name]
    return merged


def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Return a copy of profile with the settings of the patch."""
    changed = dict(profile)
    if "settings" in patch:
        changed["settings"] = merge_settings(profile["settings"], patch["settings"])
    return changed
