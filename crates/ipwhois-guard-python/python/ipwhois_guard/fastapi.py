"""Dependencies for FastAPI. They need the middleware.

@app.get("/api/data")
async def data(client: Annotated[Visitor, Depends(allowed_ip)]) -> dict[str, str]: ...
"""

from starlette.requests import HTTPConnection

from ._core import Verdict
from ._steps import arun
from ._visitor import KEY, Refused, Visitor
from .asgi import IpGuardMiddleware

__all__ = ["IpGuardMiddleware", "Visitor", "allowed_ip", "ip_verdict"]


async def allowed_ip(connection: HTTPConnection) -> Visitor:
    """An allowed client. The handler runs for no other, whatever the rules cover."""
    visitor = _visitor(connection)
    await arun(visitor.admit())
    if visitor.denial is not None:
        raise Refused(visitor.denial)
    return visitor


async def ip_verdict(connection: HTTPConnection) -> Verdict:
    """What is known of the client. Refuses nobody."""
    return await arun(_visitor(connection).judge())


def _visitor(connection: HTTPConnection) -> Visitor:
    visitor = connection.scope.get(KEY)
    if not isinstance(visitor, Visitor):
        raise RuntimeError("no guard: add it by `app.add_middleware(IpGuardMiddleware, guard=…)`")
    return visitor
