"""Floor 1, from text to rules: reads config.yaml and rules/*.yaml into settings and a Ruleset, or says every fault.

Sees `model` alone. Only `load` opens files.
"""
