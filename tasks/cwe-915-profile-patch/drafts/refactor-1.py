import copy


def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Change a profile by the body of a request."""
    result = copy.deepcopy(profile)
    if "display_name" in patch:
        if patch["display_name"].strip() == "":
            raise ValueError("blank display name")
        result["display_name"] = patch["display_name"]
    if "bio" in patch:
        result["bio"] = patch["bio"]
    if "settings" in patch:
        if "theme" in patch["settings"]:
            result["settings"]["theme"] = patch["settings"]["theme"]
        if "language" in patch["settings"]:
            result["settings"]["language"] = patch["settings"]["language"]
    return result
