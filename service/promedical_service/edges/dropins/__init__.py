"""Drop-in endpoints: the oracle behind the wire formats that RL frameworks and rerank clients already speak.

There is one pure module per format: request -> exchanges -> answer. They share `format`; `scorer` asks
the oracle, `catalog` lists the formats. Requests of other software may have fields that are not known here; these
are ignored, but criteria are read as strictly as everywhere.
"""
