"""Tenants: who has which key, what a key may do, and how much of it."""
