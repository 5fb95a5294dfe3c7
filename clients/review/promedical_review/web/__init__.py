"""The web part of the review app: pages that the server renders for people with a session. It keeps no work itself."""
