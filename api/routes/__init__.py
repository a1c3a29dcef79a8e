"""The routes, one module a resource; each registers itself on the resolver."""
