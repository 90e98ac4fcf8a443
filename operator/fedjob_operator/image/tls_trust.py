"""Which certificates are trusted beside the public ones."""

from __future__ import annotations

import ssl

from fedjob_operator.image.errors import ImageRequestInvalidError


def trusted_context(ca_pem: str | None) -> ssl.SSLContext | None:
    """A context that trusts the public certificates and the given ones; None without any.

    Raises:
        ImageRequestInvalidError: The text holds no certificate.
    """
    if ca_pem is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise ImageRequestInvalidError(
            "registry CA", "it holds no certificate in PEM form", "paste the CA's .crt file"
        ) from error
    return context
