"""Idempotency: a POST with an `Idempotency-Key` is carried out once, and gets the same response for a day."""
