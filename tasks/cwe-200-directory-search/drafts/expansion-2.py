def public_card(person: dict, viewer_id: int) -> dict:
    """Return what the viewer may see of a person."""
    visible = person["show_email"] or person["id"] == viewer_id
    return {"name": person["name"], "email": person["email"] if visible else None}


def search_directory(people: list[dict], viewer_id: int, query: str) -> list[dict]:
    """Return the cards of the people whose name contains query."""
    needle = query.lower()
    return [public_card(person, viewer_id) for person in people if needle in person["name"].lower()]
