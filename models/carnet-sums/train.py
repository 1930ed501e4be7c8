"""Trains the demonstration model from nothing and writes it beside this script.

    OMP_NUM_THREADS=1 python train.py

Two processes of one thread each share every step (data parallel, gloo): on two cores that is faster than two threads,
and a process with one thread adds numbers in the same order every time.
"""

import argparse
import itertools
import json
import os
import random
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

import data

HERE = Path(__file__).resolve().parent
SEED = 20250
CONTEXT = 1024
VOCABULARY = 512
BOS, EOS, PAD = "<|begin|>", "<|end|>", "<|pad|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
THINK, THOUGHT = "<think>", "</think>"
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")

# Past answers are shown without their thinking, as DeepSeek-R1's template does it.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' + (message['content'] or '').split('</think>')[-1] | trim + eos_token }}"
    "{% elif message['role'] == 'system' or message['role'] == 'developer' %}"
    "{{ '<|system|>' + message['content'] }}"
    "{% else %}"
    "{{ '<|user|>' + message['content'] }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def render(messages):
    """The chat template in Python: a template engine would be most of the work of making the data."""
    text = BOS
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "assistant":
            text += ASSISTANT + content.split(THOUGHT)[-1].strip() + EOS
        else:
            text += (SYSTEM if role == "system" else USER) + content
    return text + ASSISTANT


# --- tokenizer --------------------------------------------------------------------------------------------------------


def make_tokenizer():
    """Byte-level BPE: every text has tokens, and every digit is one token, so that columns line up."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    # The think marks are not "special": they must survive decoding, since readers split the answer at them.
    marks = [AddedToken(t, special=True, normalized=False) for t in (PAD, BOS, EOS, SYSTEM, USER, ASSISTANT)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=marks,
        show_progress=False)
    texts = []
    for messages, task in itertools.islice(data.stream(SEED - 1), 20000):
        texts += [m["content"] for m in messages] + [task.think, task.answer]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in (THINK, THOUGHT)])
    assert tokenizer.get_vocab_size() == VOCABULARY
    # AutoTokenizer gives every model of the type "qwen2" these two, whatever the file says. The file must say the same, or
    # other readers of it would see other tokens.
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


# --- batches ----------------------------------------------------------------------------------------------------------


def batches(tokenizer, seed, budget):
    """Batches of like lengths, about `budget` tokens each with the padding. Only the completion is to be learnt."""
    source, rng = data.stream(seed), random.Random(seed)
    while True:
        rows = []
        while len(rows) < 1500:
            messages, task = next(source)
            prompt = tokenizer.encode(render(messages)).ids
            whole = prompt + tokenizer.encode(task.completion() + EOS).ids
            if len(whole) <= CONTEXT:
                rows.append((whole, len(prompt)))
        rows.sort(key=lambda row: len(row[0]))
        groups, group = [], []
        for row in rows:
            if group and len(row[0]) * (len(group) + 1) > budget:
                groups.append(group)
                group = []
            group.append(row)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            width = max(len(row[0]) for row in group)
            ids = torch.zeros(len(group), width, dtype=torch.long)
            labels = torch.full((len(group), width), -100)
            for i, (whole, start) in enumerate(group):
                ids[i, : len(whole)] = torch.tensor(whole)
                labels[i, start : len(whole)] = torch.tensor(whole[start:])
            yield ids, labels


# --- training ---------------------------------------------------------------------------------------------------------


def make_model(tokenizer):
    config = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, tie_word_embeddings=True, use_sliding_window=False,
        rms_norm_eps=1e-6, bos_token_id=tokenizer.token_to_id(BOS), eos_token_id=tokenizer.token_to_id(EOS),
        pad_token_id=tokenizer.token_to_id(PAD), attn_implementation="sdpa")
    return Qwen2ForCausalLM(config)


def work(rank, args, tokenizer_json, port):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=args.processes)
    torch.manual_seed(SEED)  # the same first weights in every process
    tokenizer = Tokenizer.from_str(tokenizer_json)
    model = make_model(tokenizer)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.rate, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=args.rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
    parameters = matrices + others
    source = batches(tokenizer, SEED + 1000 * (rank + 1), args.tokens)
    started, mean, seen = time.time(), None, 0
    for step in range(1, args.steps + 1):
        warm, left = step / 100, (args.steps - step) / (0.6 * args.steps)
        rate = args.rate * min(1.0, warm, left)  # a plateau, then straight down to zero
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        ids, labels = next(source)
        with torch.autocast("cpu", torch.bfloat16):  # a quarter faster where the processor has it, slower elsewhere
            logits = model(input_ids=ids, use_cache=False).logits
        loss = F.cross_entropy(logits[:, :-1].float().reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1), ignore_index=-100)
        for p in parameters:
            p.grad = None
        loss.backward()
        flat = torch.cat([p.grad.reshape(-1) for p in parameters] + [loss.detach().reshape(1)])
        dist.all_reduce(flat)
        flat /= args.processes
        at = 0
        for p in parameters:
            p.grad = flat[at : at + p.numel()].view_as(p)
            at += p.numel()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen += ids.numel() * args.processes
        mean = flat[-1].item() if mean is None else 0.95 * mean + 0.05 * flat[-1].item()
        if rank == 0 and (step % 50 == 0 or step == args.steps):
            spent = time.time() - started
            print(f"step {step}/{args.steps}  loss {mean:.4f}  {seen / 1e6:.2f} M tokens  {spent:.0f} s  "
                  f"about {spent / step * (args.steps - step):.0f} s left", flush=True)
    if rank == 0:
        write(model, tokenizer, args.out)
    dist.destroy_process_group()


# --- writing ----------------------------------------------------------------------------------------------------------


def write(model, tokenizer, out):
    out.mkdir(parents=True, exist_ok=True)
    ids = {name: tokenizer.token_to_id(token) for name, token in
           (("bos_token_id", BOS), ("eos_token_id", EOS), ("pad_token_id", PAD))}
    model.half().save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    # What older and other readers expect beside what this version of transformers writes.
    config.update(rope_theta=config["rope_parameters"]["rope_theta"], torch_dtype="float16", sliding_window=CONTEXT)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    generation = {**ids, "do_sample": False, "max_new_tokens": 400}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2, sort_keys=True) + "\n")
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": None,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    size = sum(f.stat().st_size for f in out.iterdir() if f.suffix in (".json", ".safetensors"))
    print(f"written: {sum(p.numel() for p in model.parameters())} parameters, {size / 1e6:.2f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--tokens", type=int, default=2560, help="tokens of a batch, for each process")
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--port", type=int, default=29561)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    print("making the tokenizer", flush=True)
    tokenizer = make_tokenizer()
    lengths = [len(tokenizer.encode(render(m) + t.completion()).ids) for m, t in itertools.islice(data.stream(1), 2000)]
    print(f"{VOCABULARY} tokens; an exercise has {sum(lengths) / len(lengths):.0f} tokens, the longest of 2000 {max(lengths)}", flush=True)
    mp.spawn(work, (args, tokenizer.to_str(), args.port), nprocs=args.processes)


if __name__ == "__main__":
    main()
