"""The vocabulary that the parts share: frozen values, standard library only."""
