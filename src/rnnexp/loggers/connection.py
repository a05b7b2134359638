"""A check whether a server can be reached, which ends within seconds."""

import http.client
import ssl
import urllib.error
import urllib.request


def connection_error(address: str, timeout_seconds: float) -> str:
    """Return why an HTTP server does not answer; empty if it answers. The user's proxy applies."""
    try:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 (an address of the user's settings)
        urllib.request.urlopen(request, timeout=timeout_seconds).close()  # noqa: S310
    except urllib.error.HTTPError:
        return ""
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        # The client of a server may trust certificates that Python does not know.
        return "" if isinstance(reason, ssl.SSLError) else str(reason) or type(reason).__name__
    return ""
