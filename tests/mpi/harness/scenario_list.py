"""The scenarios of the program `scenario`, and the files it is steered by."""
import subprocess


def scenarios(build):
    """(name, ranks, kind, what it shows) of each."""
    listing = subprocess.run([build.program("scenario"), "--list"], stdout=subprocess.PIPE,
                             check=True, timeout=20, text=True).stdout
    rows = [line.split("\t") for line in listing.splitlines()]
    return [(name, int(ranks), kind, what) for name, ranks, kind, what in rows]


def touch(path):
    with open(path, "a"):
        pass
