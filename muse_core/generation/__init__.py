"""Latent diffusion on a tokenizer's latents: stored latents, a SANA denoiser trained by flow
matching, a pipeline, editing.
"""
