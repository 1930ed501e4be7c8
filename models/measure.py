"""Measures the built-in engine beside the library `transformers` on the same machine: speed and memory.

    pip install -r models/carnet-sums/requirements.txt -r models/requirements.txt
    cargo build --release -p carnet
    python models/measure.py

Two models: the one that comes with Carnet, which both hold in float32; and one of half a billion random weights, which
the engine holds in 8 bits (Q8_0) and the library in float32 and bfloat16. What the random one says means nothing, but
its time depends on its sizes alone. Memory is the most that was resident in units of 2^20 bytes, program and libraries
included. Nothing else should run meanwhile.

Each run asks for one token and then for the whole answer to the same prompt, of which neither side keeps anything. The
first time is the prompt's; what the second takes longer than the median of the first is the further tokens'. The events
of a stream would not tell them apart: the first comes before a long prompt is done, and markers of reasoning make none.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

HERE = Path(__file__).resolve().parent
RUNS = 5
SEED = 20250
NAME = "measured"

# Qwen2.5-0.5B has these sizes.
SIZES = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4_864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_theta": 1_000_000.0, "rope_type": "default"},
    "tie_word_embeddings": True,
}
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ t", "h e", "i n", "Ġ a"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

# About 200 tokens of the kind that the model that comes with Carnet was trained on, and about 500 for the other.
SYSTEM = "You are a math tutor. You help a beginner. Answer in English. The children learn Latin at school. " * 3
SORT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Sort 512, 87, 934, 6, 301 ascending."}]
READ = [{"role": "user", "content": "The border guard reads the carnet and lets the goods cross. " * 9}]


@dataclass
class Subject:
    """A model, what it is asked, and how many tokens it may answer with."""

    title: str
    path: Path
    messages: list
    answer_max: int
    drawn: bool  # whether the weights are random


@dataclass
class Figures:
    """What was measured of one side; rates are in tokens per second, one for each run."""

    prompt_tokens: int
    answer_tokens: int
    prompt_rates: list
    answer_rates: list
    peak_mb: float = 0.0


def draw(model):
    """Gives each parameter by name, filled with numbers that the seed and its place in the model decide."""
    for index, (name, weight) in enumerate(model.named_parameters()):
        weight = torch.empty(weight.shape) if weight.is_meta else weight.detach()
        if "norm" in name:
            weight.fill_(1)
        else:
            weight.normal_(std=0.02, generator=torch.Generator().manual_seed(SEED + index))
        yield name, weight


def vocabulary():
    """All bytes, what the merges make, texts that nothing makes, and the control tokens; and the kind of each."""
    tokens = sorted(ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in MERGES]
    tokens += [f"[made up {n}]" for n in range(SIZES["vocab_size"] - len(tokens) - len(CONTROL))]
    kinds = [gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL] * len(CONTROL)
    return tokens + CONTROL, kinds


def packing(weight):
    return gguf.GGMLQuantizationType.Q8_0 if weight.dim() == 2 else gguf.GGMLQuantizationType.F32


def write_gguf(path):
    """Writes the random model. Of its weights one tensor at a time is in memory, of 0.6 GB at most."""
    config = Qwen2Config(**SIZES)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    tokens, kinds = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, weight in model.named_parameters():
        block, block_bytes = gguf.GGML_QUANT_SIZES[packing(weight)]
        size = weight.numel() // block * block_bytes
        called = names.get_name(name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor_info(called, weight.shape, np.float32, size, packing(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, weight in draw(model):
        writer.write_tensor_data(gguf.quants.quantize(weight.numpy(), packing(weight)))
    writer.close()
    part.rename(path)


def peak_mb(pid):
    """The most memory that a process has had resident, in units of 2^20 bytes."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def timed(answer, answer_max):
    """Figures of `answer`, which is given the most tokens to make, and gives the tokens of prompt and answer."""
    answer(4)  # what happens at the first call only
    firsts, wholes = [], []
    for _ in range(RUNS):
        start = time.perf_counter()
        answer(1)
        middle = time.perf_counter()
        prompt_tokens, answer_tokens = answer(answer_max)
        wholes.append(time.perf_counter() - middle)
        firsts.append(middle - start)
    first = statistics.median(firsts)
    prompt_rates = [prompt_tokens / seconds for seconds in firsts]
    answer_rates = [(answer_tokens - 1) / (seconds - first) for seconds in wholes]
    return Figures(prompt_tokens, answer_tokens, prompt_rates, answer_rates)


def ask(path, messages, tokens):
    """One chat request to the engine; gives the tokens of prompt and answer."""
    body = {"model": NAME, "messages": messages, "temperature": 0, "max_tokens": tokens}
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    said = response.read().decode()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"the engine answers {response.status}: {said}")
    usage = json.loads(said)["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def of_engine(carnet, subject, threads):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "socket")
        command = [carnet, "engine", "--model", subject.path, "--name", NAME, "--socket", path, "--threads", str(threads)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if not process.stdout.readline():
                raise SystemExit("the engine did not start and has said why")
            figures = timed(lambda tokens: ask(path, subject.messages, tokens), subject.answer_max)
            figures.peak_mb = peak_mb(process.pid)
            return figures
        finally:
            process.terminate()
            process.wait()


def of_library(subject, dtype, threads, prompt_tokens):
    """Runs in a process of its own. `prompt_tokens` is what the engine counts in the same prompt."""
    os.nice(10)  # as the engine does
    torch.set_num_threads(threads)
    transformers.logging.disable_progress_bar()
    if subject.drawn:
        model = AutoModelForCausalLM.from_config(Qwen2Config(**SIZES), dtype=dtype)
        for _ in draw(model):
            pass
        # Building takes more than reading a file would, so the kernel is to count the peak from here on.
        Path("/proc/self/clear_refs").write_text("5")
        ids = torch.arange(prompt_tokens)[None]
    else:
        model = AutoModelForCausalLM.from_pretrained(subject.path, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(subject.path)
        text = tokenizer.apply_chat_template(subject.messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    model.eval()
    mask = torch.ones_like(ids)

    def answer(tokens):
        made = model.generate(ids, attention_mask=mask, do_sample=False, use_cache=True, max_new_tokens=tokens)
        return ids.shape[1], made.shape[1] - ids.shape[1]

    figures = timed(answer, subject.answer_max)
    figures.peak_mb = peak_mb("self")
    return figures


def spread(rates):
    """Median, least and most."""
    written = (f"{x:,.0f}" if x >= 100 else f"{x:.1f}" for x in (statistics.median(rates), min(rates), max(rates)))
    return "{} ({}–{})".format(*written)


def row(subject, side, threads, figures):
    tokens = f"{figures.prompt_tokens} + {figures.answer_tokens}"
    rates = [spread(figures.prompt_rates), spread(figures.answer_rates)]
    cells = [subject.title, side, str(threads), tokens, *rates, f"{figures.peak_mb:,.0f}"]
    print("|", " | ".join(cells), "|", flush=True)


def measure(carnet, subject, threads):
    engine = of_engine(carnet, subject, threads)
    row(subject, "engine, Q8_0" if subject.drawn else "engine, float32", threads, engine)
    for dtype in ["float32", "bfloat16"] if subject.drawn else ["float32"]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            library = process.submit(of_library, subject, dtype, threads, engine.prompt_tokens).result()
        row(subject, f"transformers, {dtype}", threads, library)
        if library.prompt_tokens != engine.prompt_tokens:
            raise SystemExit("the two sides do not read the same prompt")


def machine(carnet):
    """What the figures were measured on and with."""
    cpu = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cpu = cpu[1] if cpu else platform.machine()
    version = subprocess.run([carnet, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    versions = f"{version}, transformers {transformers.__version__}, torch {torch.__version__}"
    return f"{cpu}, {os.cpu_count()} cores; {versions}; {RUNS} runs: median (least–most)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--carnet", type=Path, default=HERE.parent / "target/release/carnet")
    parser.add_argument("--work", type=Path, help="keep the large file (0.6 GB) in this folder, or find it there")
    parser.add_argument("--skip-large", action="store_true", help="measure the model that comes with Carnet alone")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    if os.getloadavg()[0] > 0.5:
        print("warning: the cores are in use, so the figures mean little", file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        large = (args.work or Path(temporary)) / "half-billion.gguf"
        subjects = [Subject("carnet-sums", HERE / "carnet-sums", SORT, 200, drawn=False)]
        if not args.skip_large:
            if not large.exists():
                large.parent.mkdir(parents=True, exist_ok=True)
                write_gguf(large)
            subjects.append(Subject("0.5 billion random weights", large, READ, 128, drawn=True))
        print(machine(args.carnet) + "\n")
        print("| model | in | threads | prompt + answer | prompt, tokens/s | answer, tokens/s | peak memory, MB |")
        print("|---|---|---:|---:|---:|---:|---:|", flush=True)
        for subject in subjects:
            for threads in args.threads:
                measure(args.carnet, subject, threads)


if __name__ == "__main__":
    main()
