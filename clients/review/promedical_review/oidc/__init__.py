"""Signing in with OpenID Connect: who somebody is, by the word of an issuer. It knows no page, cookie or database."""
