def clean_address(form: dict[str, str]) -> dict:
    """Return the stripped address of a form."""
    address = {"street": form["street"].strip(), "city": form["city"].strip()}
    if not address["street"] or not address["city"]:
        raise ValueError("street and city are required")
    return address
