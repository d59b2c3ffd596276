import hmac


def change_address(cookies: dict[str, str], form: dict[str, str], account: dict) -> dict:
    """Return a copy of the account with the address of the submitted form."""
    expected = cookies.get("csrf_token")
    received = form.get("csrf_token")
    if not expected or not received or not hmac.compare_digest(expected.encode(), received.encode()):
        raise PermissionError("the form was not sent by our page")
    address = {field: form[field].strip() for field in ("street", "city")}
    if not all(address.values()):
        raise ValueError("street and city are required")
    return {**account, "address": address}
