"""Drop-in endpoints: the oracle behind the wire formats that RL frameworks and rerank clients already speak.

One module per format, pure: request -> exchanges -> answer. They share `format`; `scorer` asks
the oracle, `catalog` lists them. What other software sends may hold more fields than are known here; those are
ignored, but criteria are read as strictly as anywhere.
"""
