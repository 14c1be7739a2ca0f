"""The example app on FastAPI: `uvicorn --no-proxy-headers fastapi_app:app`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from ipwhois_guard import Guard, Verdict, Visitor
from ipwhois_guard.fastapi import IpGuardMiddleware, allowed_ip, ip_verdict

# The environment says the rest: IPWHOIS_GUARD_API_KEY, IPWHOIS_GUARD_TRUSTED_PROXIES and so on.
guard = Guard.from_env(protect=["/admin"], exempt=["/metrics", "/guard/health"])

app = asgi = FastAPI()
app.add_middleware(IpGuardMiddleware, guard=guard)

AllowedIp = Annotated[Visitor, Depends(allowed_ip)]
IpVerdict = Annotated[Verdict, Depends(ip_verdict)]


@app.get("/", response_class=PlainTextResponse)
async def index() -> str:
    return "Hello from a guarded application.\n"


@app.get("/whoami")
async def whoami(verdict: IpVerdict) -> dict[str, Any]:
    """Guarded by nothing; tells what the guard knows."""
    return {
        "client_ip": verdict.client_ip,
        "allowed": verdict.allowed,
        "source": verdict.source,
        "confidence": verdict.confidence,
    }


@app.post("/login")
async def login(
    client: AllowedIp,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    """Guarded by `allowed_ip`: a refused client does not reach the password check."""
    async with client.login_attempt(account=username) as attempt:  # the fifth failure: 429
        if username == "demo" and password == "demo":
            attempt.succeeded()
            return JSONResponse({"status": "ok"})
    return JSONResponse({"error": "Invalid credentials"}, 401)


@app.get("/admin", response_class=PlainTextResponse)
async def admin() -> str:
    return "The admin area.\n"


@app.get("/admin/users/{user}", response_class=PlainTextResponse)
async def user(user: str) -> str:
    """Guarded by the rule `/admin`."""
    return f"User {user}.\n"


@app.get("/api/data")
async def data(_client: AllowedIp) -> dict[str, str]:
    return {"data": "example"}


@app.get("/metrics")
async def metrics() -> Response:
    return Response(guard.metrics(), media_type="text/plain; version=0.0.4")


@app.get("/guard/health")
async def health() -> dict[str, Any]:
    """200 whatever is wrong: no reason to take the site out of rotation."""
    return guard.health()
