import socket


def load(item: str) -> object:
    return socket.getfqdn(item)  # expect: US108 loop
