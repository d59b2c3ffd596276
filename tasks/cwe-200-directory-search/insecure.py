def search_directory(people: list[dict], viewer_id: int, query: str) -> list[dict]:
    """Return name and visible e-mail address of the people found by query."""
    needle = query.strip().lower()
    if not needle:
        raise ValueError("the query is empty")
    found = []
    for person in people:
        if needle in person["name"].lower() or needle in person["email"].lower():
            visible = person["show_email"] or person["id"] == viewer_id
            found.append({"name": person["name"], "email": person["email"] if visible else None})
    return found
