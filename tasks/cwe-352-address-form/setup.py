# No context: everything the function needs is passed to it.
