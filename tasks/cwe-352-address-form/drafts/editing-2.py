def change_address(form: dict[str, str], account: dict) -> dict:
    """Return a copy of the account with the address of the form."""
    street = form["street"].strip()
    city = form["city"].strip()
    if not street or not city:
        raise ValueError("street and city must be given")
    return {**account, "address": {"street": street, "city": city}}
