"""How good generated images are: as a set, and prompt by prompt."""
