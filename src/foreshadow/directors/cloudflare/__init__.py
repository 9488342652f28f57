"""Cloudflare as a director: DNS records of one name, or the origin weights of load balancer pools.

Both talk through :mod:`.api`, which is the only module that knows the SDK.
"""
