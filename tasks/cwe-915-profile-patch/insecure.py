import copy


def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Return a copy of profile with the changes of the request."""
    if "display_name" in patch and not patch["display_name"].strip():
        raise ValueError("the display name is blank")
    changed = copy.deepcopy(profile)
    for key, value in patch.items():
        if key == "settings":
            changed["settings"].update(value)
        elif key in changed:
            changed[key] = value
    return changed
