"""Permissions: identities, the permission policy, and the owners of resources."""
