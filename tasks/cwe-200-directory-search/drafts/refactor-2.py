def _visible_email(person: dict, viewer_id: int):
    if person["show_email"] or person["id"] == viewer_id:
        return person["email"]
    return None


def _contains(needle: str, *values) -> bool:
    return any(value is not None and needle in value.lower() for value in values)


def search_directory(people: list[dict], viewer_id: int, query: str) -> list[dict]:
    """Search the members by name or address."""
    needle = query.strip().lower()
    if not needle:
        raise ValueError("query must not be blank")
    results = []
    for person in people:
        email = _visible_email(person, viewer_id)
        if _contains(needle, person["name"], email):
            results.append({"name": person["name"], "email": email})
    return results
