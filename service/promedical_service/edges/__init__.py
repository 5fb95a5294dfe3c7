"""Where calls arrive: access, limits and one account of every call, for both transports."""
