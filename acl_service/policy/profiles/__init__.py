"""Policies that are shipped: complete, ready to be loaded, and examples to start from."""

from importlib import resources


def names() -> list[str]:
    """List the names of the shipped profiles."""
    here = resources.files(__name__)
    return sorted(file.name.removesuffix(".toml") for file in here.iterdir() if file.name.endswith(".toml"))


def read(name: str) -> str:
    """Return the TOML text of a shipped profile, for `Document.load`.

    Raises:
        LookupError: there is no profile of that name; the message lists those that there are.
    """
    if name not in names():
        raise LookupError(f"there is no profile {name!a}: shipped are {', '.join(names())}")
    return resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8")
