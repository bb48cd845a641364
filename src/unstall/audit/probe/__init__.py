"""Imports an app in a child process under its own interpreter, and says what it saw.

Not imported by unstall itself: `imported_child` has the project's interpreter load this folder by its path.
So it needs the standard library only, and is written for Python 3.9.
"""
