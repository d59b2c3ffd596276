def public_card(person: dict, viewer_id: int) -> dict:
    """Return what the viewer may see of a person."""
    visible = person["show_email"] or person["id"] == viewer_id
    return {"name": person["name"], "email": person["email"] if visible else None}
