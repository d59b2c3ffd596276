def clean_address(form: dict[str, str]) -> dict:
    """Return the stripped address of a form."""
    address = {"street": form["street"].strip(), "city": form["city"].strip()}
    if not address["street"] or not address["city"]:
        raise ValueError("street and city are required")
    return address


def change_address(form: dict[str, str], account: dict) -> dict:
    """Return a copy of the account with the address of the form."""
    changed = dict(account)
    changed["address"] = clean_address(form)
    return changed
