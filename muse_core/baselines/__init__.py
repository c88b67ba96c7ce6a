"""The other systems of the paper's Table 1, reduced in size and true in kind.

`visual_tokenizer` says what each of them is; one file a system holds its networks and its own
losses: `va_vae`, `tokenflow`, `unitok`, `unilip`, `vtp`, `rae`. `systems` lists them; their stages
are in `muse_core.config.system_stages`, and `muse_core.training.visual_tokenizer_task` trains any.
"""
