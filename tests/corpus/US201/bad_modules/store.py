import bcrypt


def load(item: str) -> object:
    return bcrypt.hashpw(item.encode(), bcrypt.gensalt())  # expect: US201 loop
