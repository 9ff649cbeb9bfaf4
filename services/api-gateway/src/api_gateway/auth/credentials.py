"""Credentials of requests: the Authorization header, or a cookie that is protected against request forgery."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import Request
from flexcore.credentials.secrets import digest, from_header

from api_gateway.responses import forbidden, unauthorized

COOKIE = "flexmesh_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def digest_of(request: Request) -> bytes:
    """Return the hash of the token in the request. A header goes before a cookie.

    Raises:
        ApiError: There is no token (401), or the request was forged (403).
    """
    header = request.headers.get("authorization")
    if header is None:
        return digest_of_cookie(request)
    token = from_header(header)
    if not token:
        raise unauthorized()
    return digest(token)


def digest_of_cookie(request: Request) -> bytes:
    session = session_in(request)
    if not session:
        raise unauthorized()
    if request.method not in SAFE_METHODS:
        refuse_other_sites(request)
        if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_token(session).encode()):
            raise forbidden(
                f"A request with a cookie that changes something needs the header {CSRF_HEADER}. "
                "GET /api/v1/session tells its value."
            )
    return session_digest(session)


def session_digest(session: str) -> bytes:
    """Return the hash of a session. It differs from that of a token, so that neither can replace the other."""
    return digest(f"session {session}")


def csrf_token(session: str) -> str:
    """Return the CSRF token of a session, which pages of other sites cannot know. It is derived from the cookie."""
    return urlsafe_b64encode(hmac.digest(session.encode(), b"csrf", sha256)).decode().rstrip("=")


def refuse_other_sites(request: Request) -> None:
    """Refuse a request that a page of another site makes a browser send."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin") or (origin is not None and origin not in own_origins(request)):
        raise forbidden("This request comes from a page of another site.")


def own_origins(request: Request) -> tuple[str, str]:
    """Return the origin of the request's URL and the public origin."""
    public = urlsplit(request.app.state.gateway.settings.public_url)
    return f"{request.url.scheme}://{request.url.netloc}", f"{public.scheme}://{public.netloc}"


def is_cookie_secure(request: Request) -> bool:
    """Return whether cookies of this request are for HTTPS only."""
    settings = request.app.state.gateway.settings
    if settings.secure_cookies == "auto":
        return request.url.scheme == "https" or settings.public_url.startswith("https:")
    return bool(settings.secure_cookies == "always")


def cookie_name(request: Request) -> str:
    """Return the name of the cookie. Only this host can set one that begins with `__Host-`, and only over HTTPS."""
    return f"__Host-{COOKIE}" if is_cookie_secure(request) else COOKIE


def session_in(request: Request) -> str | None:
    return request.cookies.get(cookie_name(request))
