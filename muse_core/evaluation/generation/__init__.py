"""How good generated images are: as a set, prompt by prompt, and whether they are copies."""
