"""The network of qmesh-nano: a small Llama in plain PyTorch.

It follows the `llama` architecture of GGUF exactly (RMSNorm, rotary positions, SwiGLU, no biases, tied embeddings), so
that `export.py` only has to rename tensors.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The dimensions of the network; every row length is a multiple of 32, which Q8_0 needs."""

    vocab: int
    width: int = 192
    layers: int = 4
    heads: int = 6
    hidden: int = 512
    context: int = 1024
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def rotary_tables(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines per position, for the layout in which a head's halves are rotated against each other."""
    half = shape.head_width // 2
    frequencies = shape.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float64), frequencies)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attention_out = nn.Linear(shape.width, shape.width, bias=False)
        self.feed_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.gate_up = nn.Linear(shape.width, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, width = x.shape
        qkv = self.query_key_value(self.attention_norm(x))
        query, key, value = (
            part.view(rows, length, self.shape.heads, self.shape.head_width).transpose(1, 2)
            for part in qkv.chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(rotate(query, cos, sin), rotate(key, cos, sin), value, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(rows, length, width))
        gate, up = self.gate_up(self.feed_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Nano(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.final_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        cos, sin = rotary_tables(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            # What writes into the residual stream starts smaller, so that its sum over the layers stays in range.
            scale = 0.02 if name.startswith("embedding") else self.shape.width**-0.5
            if name.endswith(("attention_out.weight", "down.weight")):
                scale /= (2 * self.shape.layers) ** 0.5
            nn.init.normal_(parameter, std=scale)

    def hidden_states(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return self.final_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embedding.weight.T

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits(self.hidden_states(tokens))
