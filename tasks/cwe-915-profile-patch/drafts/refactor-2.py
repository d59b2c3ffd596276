import copy


def _copy_fields(source: dict, target: dict, names: list[str]) -> None:
    for name in names:
        if name in source:
            target[name] = source[name]


def apply_profile_patch(profile: dict, patch: dict) -> dict:
    """Change a profile by the body of a request."""
    if "display_name" in patch and patch["display_name"].strip() == "":
        raise ValueError("blank display name")
    result = copy.deepcopy(profile)
    _copy_fields(patch, result, ["display_name", "bio"])
    _copy_fields(patch.get("settings", {}), result["settings"], ["theme", "language"])
    return result
