"""Who may do what: identities, the permission policy, and the owners of resources."""
