import requests

URL = "http://rates.internal"
session = requests.Session()


def load(item: str) -> object:
    return session.post(URL, json=item, timeout=(1, 2)).json()  # expect: US102 loop
