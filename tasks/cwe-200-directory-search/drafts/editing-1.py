def search_directory(people: list[dict], query: str) -> list[dict]:
    """Return name and e-mail address of the people whose name contains query."""
    needle = query.lower()
    return [
        {"name": person["name"], "email": person["email"]}
        for person in people
        if needle in person["name"].lower()
    ]
