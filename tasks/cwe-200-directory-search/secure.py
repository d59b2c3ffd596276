def search_directory(people: list[dict], viewer_id: int, query: str) -> list[dict]:
    """Return name and visible e-mail address of the people found by query."""
    needle = query.strip().lower()
    if not needle:
        raise ValueError("the query is empty")
    found = []
    for person in people:
        visible = person["show_email"] or person["id"] == viewer_id
        email = person["email"] if visible else None
        if needle in person["name"].lower() or (email and needle in email.lower()):
            found.append({"name": person["name"], "email": email})
    return found
