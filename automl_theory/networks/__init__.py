"""The torch modules that search spaces build, and their initialisation.

`cell` holds the NAS-Bench-201 network, `initialise` draws weights keyed by parameter name. Import the files themselves:
this package imports nothing, so naming it does not import torch.
"""
