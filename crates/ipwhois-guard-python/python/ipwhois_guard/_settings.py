"""The settings' names and types, for editors and type checkers. The guard itself checks them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from os import PathLike
from typing import Literal, TypedDict, Union

Duration = Union[timedelta, str]
"""A `timedelta`, or a text such as `"500ms"` or `"1h 30m"`."""

Path = Union[str, "PathLike[str]"]
Mode = Literal["enforce", "monitor", "off"]
Choice = Literal["allow", "deny"]


class _RulePath(TypedDict):
    path: str


class Rule(_RulePath, total=False):
    """A path, everything below it, and what holds there instead of the settings."""

    methods: list[str]
    min_confidence: int
    mode: Mode
    on_unverified: Choice
    on_unknown_client: Choice
    sensitive: bool


class Settings(TypedDict, total=False):
    """Everything that can be set. `None` stands for the default."""

    api_url: str | None
    api_key: str | None
    api_key_file: Path | None
    api_key_header: str | None
    api_proxy_from_env: bool | None
    api_timeout: Duration | None
    max_wait: Duration | None
    min_confidence: int | None
    on_unverified: Choice | None
    on_unknown_client: Choice | None
    mode: Mode | None
    protect: Iterable[str | Rule] | None
    exempt: Iterable[str] | None
    trusted_proxies: Iterable[object] | None
    trusted_hops: int | None
    client_ip_header: str | None
    allow: Iterable[object] | None
    deny: Iterable[object] | None
    allow_file: Path | None
    deny_file: Path | None
    cache_ttl: Duration | None
    stale_ttl: Duration | None
    error_ttl: Duration | None
    cache_capacity: int | None
    daily_budget: int | None
    feed_url: str | None
    feed_action: Literal["confirm", "block", "off"] | None
    feed_interval: Duration | None
    probe_paths: Iterable[str] | None
    served_paths: Iterable[str] | None
    max_failures: int | None
    find_time: Duration | None
    ban_time: Duration | None
    max_ban_time: Duration | None
    redis_url: str | None
    state_dir: Path | None
