"""Runs first in every Python process under `unstall run`; then runs the module whose name it took.

The folder of this file stands first on PYTHONPATH. Interpreters of any age read it, so it is written in
the syntax of Python 2.7, and each of them pays for it, so it imports next to nothing.
"""

import os
import sys


def _tell(text):
    """A sentence for the summary of the run."""
    try:
        import json
        import socket

        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(0.2)
        connection.connect(os.environ["UNSTALL_SOCKET"])
        connection.sendall(json.dumps({"kind": "note", "text": text}).encode() + b"\n")
        connection.close()
    except Exception:
        return  # nobody listens any more: then nobody watches either, and the program just runs


def _start(folder):
    version = "%d.%d" % sys.version_info[:2]
    if sys.version_info < (3, 11):
        _tell("a Python " + version + " process was left alone: unstall watches 3.11 and newer")
        return
    home = os.path.dirname(os.path.dirname(os.path.dirname(folder)))

    class Fallback:
        """Finds `unstall` beside this file where the interpreter has none of its own, and nothing else."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "unstall":
                return None
            from _frozen_importlib_external import PathFinder

            return PathFinder.find_spec(name, [home])

    sys.meta_path.append(Fallback)
    try:
        from unstall.run.child import install

        install()
    except Exception as error:  # the program runs as if nobody had wanted to watch
        kind = type(error).__name__
        _tell("a Python " + version + " process could not be watched: " + kind + ": " + str(error))
    finally:
        sys.meta_path.remove(Fallback)  # what is imported later is found through the package itself


_folder = os.path.dirname(__file__)
sys.path[:] = [entry for entry in sys.path if entry != _folder]
if os.environ.get("UNSTALL_SOCKET"):
    _start(_folder)

# What would have been found without us runs now, under the same name and with its own errors.
_ours = sys.modules.pop("sitecustomize", None)
try:
    __import__("sitecustomize")
except ImportError as _error:
    if _ours is not None:
        sys.modules["sitecustomize"] = _ours
    if getattr(_error, "name", "sitecustomize") != "sitecustomize":
        raise
