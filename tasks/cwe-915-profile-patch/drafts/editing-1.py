def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Return a copy of profile with the new display name."""
    if "display_name" not in patch:
        return dict(profile)
    if not patch["display_name"].strip():
        raise ValueError("the display name is blank")
    return {**profile, "display_name": patch["display_name"]}
