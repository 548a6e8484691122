"""Writes build/model.pt and build/tokenizer.json as qmesh-nano.gguf, and manifest.json beside it.

    python export.py

The matrices are stored as Q8_0: eight bits a weight and one scale for 32 of them, which loses next to nothing.
"""

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType

from model import Nano, Shape
from tokenizer import BUILD, END, END_OF_TEXT, HERE, SPECIAL, START

NAME = "qmesh-nano"
FILE = f"{NAME}.gguf"
DESCRIPTION = (
    "The small built-in model of QMesh: its help desk, a little small talk, easy facts and sums, short stories."
)

# ChatML, with the system message only where there is one.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '"
    + START
    + "' + message['role'] + '\n' + message['content'] + '"
    + END
    + "' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '"
    + START
    + "assistant\n' }}{% endif %}"
)


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp rotates neighbouring pairs where the training code rotates the halves of a head: reorder the rows."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors_of(model: Nano):
    """Every tensor with its GGUF name; a tied embedding needs no separate output matrix."""
    shape = model.shape
    state = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    yield "token_embd.weight", state["embedding.weight"]
    yield "output_norm.weight", state["final_norm.weight"]
    for layer in range(shape.layers):
        source, target = f"blocks.{layer}.", f"blk.{layer}."
        query, key, value = np.split(state[source + "query_key_value.weight"], 3)
        gate, up = np.split(state[source + "gate_up.weight"], 2)
        yield target + "attn_norm.weight", state[source + "attention_norm.weight"]
        yield target + "attn_q.weight", interleave(query, shape.heads)
        yield target + "attn_k.weight", interleave(key, shape.heads)
        yield target + "attn_v.weight", value
        yield target + "attn_output.weight", state[source + "attention_out.weight"]
        yield target + "ffn_norm.weight", state[source + "feed_norm.weight"]
        yield target + "ffn_gate.weight", gate
        yield target + "ffn_up.weight", up
        yield target + "ffn_down.weight", state[source + "down.weight"]


def write_gguf(model: Nano, path: Path) -> None:
    shape = model.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_license("mit")
    writer.add_languages(["en"])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    spec = json.loads((BUILD / "tokenizer.json").read_text(encoding="utf-8"))
    ids: dict[str, int] = {**spec["model"]["vocab"]}
    ids.update({token["content"]: token["id"] for token in spec["added_tokens"]})
    words = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(words)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if word in SPECIAL else gguf.TokenType.NORMAL for word in words],
    )
    writer.add_token_merges([" ".join(pair) for pair in spec["model"]["merges"]])
    writer.add_bos_token_id(ids[END_OF_TEXT])
    writer.add_eos_token_id(ids[END])
    writer.add_eot_token_id(ids[END])
    writer.add_pad_token_id(ids[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    for name, data in tensors_of(model):
        if data.ndim == 1:
            writer.add_tensor(name, data.astype(np.float32))
            continue
        packed = gguf.quantize(data, GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def manifest_of(model: Nano, path: Path) -> dict:
    data = path.read_bytes()
    return {
        "format": 1,
        "id": "nano",
        "version": 1,
        "name": NAME,
        "description": DESCRIPTION,
        "kind": "chat",
        "licence": "MIT",
        "tags": ["tiny", "english"],
        "facts": {
            "architecture": "llama",
            "quantization": "Q8_0",
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "contextTokens": model.shape.context,
            "embeddingLength": model.shape.width,
            "hasChatTemplate": True,
        },
        "artifact": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "core": None},
        "sources": [{"kind": "file", "path": FILE}],
        "publisher": None,
        "signature": None,
    }


def main() -> None:
    saved = torch.load(BUILD / "model.pt", map_location="cpu")
    model = Nano(Shape(**saved["shape"]))
    model.load_state_dict(saved["state"])
    path = HERE / FILE
    write_gguf(model, path)
    manifest = manifest_of(model, path)
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(manifest["artifact"]))


if __name__ == "__main__":
    main()
