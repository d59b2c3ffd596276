_FIELDS = ("display_name", "bio")
_SETTINGS = ("theme", "language")


def _pick(source: dict, names: tuple) -> dict:
    return {name: source[name] for name in names if name in source}


def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Return a copy of profile with the changes that the user may make."""
    if "display_name" in patch and not patch["display_name"].strip():
        raise ValueError("the display name is blank")
    settings = {**profile["settings"], **_pick(patch.get("settings", {}), _SETTINGS)}
    return {**profile, **_pick(patch, _FIELDS), "settings": settings}
