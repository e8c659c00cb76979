"""Graphs as files: the nodes in JSON, the constants in safetensors, every part checked on loading.

`writer` and `reader` are each other's inverse; `values` and `structures` have both directions of
what parameters and pytrees are made of; `signatures` says what each operation takes.
"""
