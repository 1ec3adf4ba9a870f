"""Limits on the number of requests: fixed windows, one for each token and for each address without one."""

from berth_api.ratelimit.limiter import Limiter
from berth_api.ratelimit.middleware import RateLimited, count

__all__ = ["Limiter", "RateLimited", "count"]
