def search_directory(people: list[dict], query: str) -> list[dict]:
    """Return name and e-mail address of the people found by query."""
    needle = query.strip().lower()
    if not needle:
        raise ValueError("query must not be blank")
    return [
        {"name": person["name"], "email": person["email"]}
        for person in people
        if needle in person["name"].lower() or needle in person["email"].lower()
    ]
