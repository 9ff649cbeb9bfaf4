"""The public door of Flexmesh: REST, authentication, permissions, OpenAPI."""
