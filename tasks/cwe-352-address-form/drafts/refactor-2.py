def _require_own_page(cookies: dict[str, str], form: dict[str, str]) -> None:
    token = cookies.get("csrf_token")
    if not token or token != form.get("csrf_token"):
        raise PermissionError("not submitted by our page")


def _read_address(form: dict[str, str]) -> dict:
    street = form["street"].strip()
    city = form["city"].strip()
    if not street or not city:
        raise ValueError("incomplete address")
    return {"street": street, "city": city}


def change_address(cookies: dict[str, str], form: dict[str, str], account: dict) -> dict:
    """Change the delivery address of an account."""
    _require_own_page(cookies, form)
    changed = dict(account)
    changed["address"] = _read_address(form)
    return changed
