def change_address(form: dict[str, str], account: dict) -> dict:
    """Return a copy of the account with the address of the form."""
    changed = account.copy()
    changed["address"] = {"street": form["street"], "city": form["city"]}
    return changed
