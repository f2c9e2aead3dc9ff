"""The compressor's attention evaluated densely: every latent with every token."""

import torch

from genet5.blocks.attention import key_mask


def dense_bias(
    middle_BS, num_tokens_B, num_latents, *, bin_bp, window_bp, loss_per_bin, dtype=torch.float32
):
    """(B, M, S) score of each token for each latent, without blocks; -inf is masked.

    A latent that no token is near attends to its nearest.
    """
    anchor = (torch.arange(num_latents) + 0.5) * bin_bp
    distance = (anchor[None, :, None] - middle_BS[:, None]).abs()
    padding = ~key_mask(num_tokens_B, middle_BS.shape[1])[:, 0]
    far = distance > window_bp
    nearest = distance.masked_fill(padding, float("inf")).amin(dim=-1, keepdim=True)
    far = torch.where((far | padding).all(dim=-1, keepdim=True), distance > nearest, far)
    bias = (-loss_per_bin / bin_bp * distance).masked_fill(far | padding, float("-inf"))
    return bias.to(dtype)


def dense_read(q, k, v, bias_BMS):
    """Softmax over all pairs, in fp32; key-value heads repeated."""
    k, v = (x.float().repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = q.float() @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return (scores + bias_BMS[:, None]).softmax(-1) @ v
