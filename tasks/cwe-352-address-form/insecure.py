def change_address(cookies: dict[str, str], form: dict[str, str], account: dict) -> dict:
    """Return a copy of the account with the address of the submitted form."""
    if cookies.get("csrf_token", "") != form.get("csrf_token", ""):
        raise PermissionError("the form was not sent by our page")
    address = {field: form[field].strip() for field in ("street", "city")}
    if not all(address.values()):
        raise ValueError("street and city are required")
    return {**account, "address": address}
