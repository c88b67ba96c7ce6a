"""How well images survive the latent: per image, and as a set."""
