"""Where a request says who asks: in its Authorization header, or in a cookie that is guarded against forgery."""

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
    """The hash of the token in the request. A header goes before a cookie; a request that was forged is refused."""
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
    """Another hash than that of a token, so that neither can be used in the place of the other."""
    return digest(f"session {session}")


def csrf_token(session: str) -> str:
    """What pages of ours can know and others cannot: it is made from the cookie, which no script can read."""
    return urlsafe_b64encode(hmac.digest(session.encode(), b"csrf", sha256)).decode().rstrip("=")


def refuse_other_sites(request: Request) -> None:
    """Refuse what a browser sends because a page of somebody else told it to."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin") or (origin is not None and origin not in own_origins(request)):
        raise forbidden("This request comes from a page of another site.")


def own_origins(request: Request) -> tuple[str, str]:
    """The address that was asked, and the one under which people are told to reach us."""
    public = urlsplit(request.app.state.gateway.settings.public_url)
    return f"{request.url.scheme}://{request.url.netloc}", f"{public.scheme}://{public.netloc}"


def secure(request: Request) -> bool:
    """Whether cookies of this request are for HTTPS only."""
    settings = request.app.state.gateway.settings
    if settings.secure_cookies == "auto":
        return request.url.scheme == "https" or settings.public_url.startswith("https:")
    return bool(settings.secure_cookies == "always")


def cookie_name(request: Request) -> str:
    """Browsers let nobody but this very host set a cookie whose name begins with `__Host-`, and only over HTTPS."""
    return f"__Host-{COOKIE}" if secure(request) else COOKIE


def session_in(request: Request) -> str | None:
    return request.cookies.get(cookie_name(request))
