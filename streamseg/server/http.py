"""Answers HTTP requests that are not for the WebSocket: the files of the page, and routes such as `/status`.

Only files that were in the page's folder when the server started are served, looked up by name: no path can leave the
folder. Against DNS rebinding, `Host` must be an address, `localhost`, or the host of an allowed origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from streamseg.server.access_tokens import AccessTokens
from streamseg.wire.messages import Role

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class HttpBody(NamedTuple):
    """The body of an HTTP response, with its media type."""

    media_type: str
    content: bytes


HttpRoute = Callable[[], HttpBody]
GuardedRoute = Callable[[Role], HttpBody]


def make_response(
    status: HTTPStatus, body: HttpBody, extra_headers: dict[str, str] | None = None, *, head_only: bool = False
) -> Response:
    """Make an HTTP response with the security headers and `extra_headers`. head_only: leave out the body (HEAD)."""
    headers = Headers(
        {"Content-Type": body.media_type, "Content-Length": str(len(body.content)), "Connection": "close"}
    )
    headers.update(_SECURITY_HEADERS)
    headers.update(extra_headers or {})
    return Response(status.value, status.phrase, headers, b"" if head_only else body.content)


def make_refusal(status: HTTPStatus, why: str, extra_headers: dict[str, str] | None = None) -> Response:
    """Make an HTTP error response whose body is the sentence `why`, in plain text."""
    return make_response(status, HttpBody("text/plain; charset=utf-8", f"{why}\n".encode()), extra_headers)


METHOD_REFUSED = make_refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD", {"Allow": "GET, HEAD"})


class HttpPages:
    """Answers HTTP requests that are not for the WebSocket: with a file of the page, or a route such as `/status`."""

    def __init__(
        self,
        folder: Path,
        tokens: AccessTokens,
        origins: Iterable[str],
        open_routes: dict[str, HttpRoute],
        guarded_routes: dict[str, GuardedRoute],
    ) -> None:
        """List the files in `folder`, which are served as the page.

        origins: further origins whose pages may connect. open_routes: by path, functions that make a body for any
        client. guarded_routes: by path, functions that make a body for a client of the role that they get.
        """
        self._files = {
            "/" + file.relative_to(folder).as_posix(): file
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.suffix in _MEDIA_TYPES and file.resolve().is_relative_to(folder.resolve())
        }
        if "/index.html" in self._files:
            self._files["/"] = self._files["/index.html"]
        self._tokens = tokens
        self._origins = frozenset(origins)
        self._hosts = frozenset(urlsplit(origin).netloc for origin in self._origins)
        self._open_routes = open_routes
        self._guarded_routes = guarded_routes

    def refuse_wrong_host_or_origin(self, request: Request) -> Response | None:
        """Return an HTTP error response if the request's `Host` or `Origin` is not allowed; None if both are."""
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or not self._is_allowed_host(hosts[0]):
            return make_refusal(HTTPStatus.MISDIRECTED_REQUEST, "this server is not known by that name")
        origins = request.headers.get_all("Origin")
        if not origins:
            return None
        if len(origins) == 1 and (origins[0] in self._origins or origins[0] in _same_origins(hosts[0])):
            return None
        return make_refusal(HTTPStatus.FORBIDDEN, "this origin is not allowed")

    def respond_to_request(self, request: Request) -> Response:
        """Return the response to a GET or HEAD request that is not for the WebSocket; refuse all other methods."""
        if request.method not in ("GET", "HEAD"):
            return METHOD_REFUSED
        head_only = request.method == "HEAD"
        path = unquote(request.path.partition("?")[0])
        if route := self._open_routes.get(path):
            return make_response(HTTPStatus.OK, route(), head_only=head_only)
        if guarded_route := self._guarded_routes.get(path):
            role = self._tokens.role_for_bearer(request.headers.get("Authorization"))
            if role is None:
                return make_refusal(HTTPStatus.UNAUTHORIZED, "a token is needed", {"WWW-Authenticate": "Bearer"})
            return make_response(HTTPStatus.OK, guarded_route(role), head_only=head_only)
        if file := self._files.get(path):
            try:
                body = HttpBody(_MEDIA_TYPES[file.suffix], file.read_bytes())
            except OSError:
                pass
            else:
                return make_response(HTTPStatus.OK, body, head_only=head_only)
        return make_refusal(HTTPStatus.NOT_FOUND, "nothing here")

    def _is_allowed_host(self, host: str) -> bool:
        if host in self._hosts:
            return True
        if "@" in host:  # `localhost@evil.example` names evil.example
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost":
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _same_origins(host: str) -> tuple[str, str]:
    """Return the origins of pages that this host serves."""
    return f"http://{host}", f"https://{host}"
