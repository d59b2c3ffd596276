def search_directory(people: list[dict], viewer_id: int, query: str) -> list[dict]:
    """Search the members by name or address."""
    if query.strip() == "":
        raise ValueError("query must not be blank")
    results = []
    for person in people:
        if person["show_email"] or person["id"] == viewer_id:
            email = person["email"]
        else:
            email = None
        if query.strip().lower() in person["name"].lower():
            results.append({"name": person["name"], "email": email})
        elif email is not None and query.strip().lower() in email.lower():
            results.append({"name": person["name"], "email": email})
    return results
