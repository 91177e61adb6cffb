"""Links of pages: to pages of the site where there are such, else to the repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/")


def relinked(text: str, source: str, uri: str, pages: Mapping[str, str], repository: str) -> str:
    """Return a page with the links that it has on the site.

    Parameters
    ----------
    text
        The page, Markdown.
    source
        The file that the text is from, relative to the repository: what its links are relative to.
    uri
        The page's own address, relative to the site's folder of pages.
    pages
        Address of a page on the site by its file in the repository.
    repository
        Address of the repository, where all other files are.
    """

    def new(found: re.Match[str]) -> str:
        target, hash_, anchor = found[2].partition("#")
        if _ELSEWHERE.match(found[2]):
            return found[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if file in pages:
            address = posixpath.relpath(pages[file], posixpath.dirname(uri) or ".")
        else:
            kind = "blob" if "." in posixpath.basename(file) else "tree"
            address = f"{repository}/{kind}/main/{file}"
        return f"{found[1]}{address}{hash_}{anchor}{found[3]}"

    return _LINK.sub(new, text)
