def change_address(cookies: dict[str, str], form: dict[str, str], account: dict) -> dict:
    """Change the delivery address of an account."""
    if "csrf_token" not in cookies or "csrf_token" not in form:
        raise PermissionError("missing token")
    if cookies["csrf_token"] == "" or cookies["csrf_token"] != form["csrf_token"]:
        raise PermissionError("wrong token")
    street = form["street"].strip()
    city = form["city"].strip()
    if street == "" or city == "":
        raise ValueError("incomplete address")
    changed = dict(account)
    changed["address"] = {"street": street, "city": city}
    return changed
