import copy


def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Return a copy of profile with the new display name and bio."""
    changed = copy.deepcopy(profile)
    if "display_name" in patch:
        if not patch["display_name"].strip():
            raise ValueError("the display name is blank")
        changed["display_name"] = patch["display_name"]
    if "bio" in patch:
        changed["bio"] = patch["bio"]
    return changed
