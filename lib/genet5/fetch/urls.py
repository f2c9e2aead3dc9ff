"""Where NCBI serves its data, and which other URLs may take their place."""

from __future__ import annotations

from urllib.parse import urlsplit

EUTILS_URL = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
GENOMES_URL = "https://ftp.ncbi.nlm.nih.gov"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def host_of(url: str) -> str:
    """Return a URL's host; empty if it has none.

    Example:
        >>> host_of(GENOMES_URL)
        'ftp.ncbi.nlm.nih.gov'
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_safe_url(url: str) -> bool:
    """Return whether a URL is https, or http on this machine.

    Example:
        >>> is_safe_url(GENOMES_URL), is_safe_url("http://localhost:8000"), is_safe_url("http://a.b")
        (True, True, False)
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
