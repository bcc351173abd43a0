"""Steps of GRPO a second: ours beside TRL's, at the same model, answers and lengths.

    .venv/bin/python benchmarks/alignment.py [--steps 6] [--rounds 2]

TRL 1.16 has no PPO any more, so the step that both have is compared: draw 64 answers of 32 tokens
to 8 prompts, score them by a plain function, and make one update. The model is a Llama of random
weights, ours exported to transformers' class; nothing ends an answer early.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPTS, ANSWERS, TOKENS, PROMPT_TOKENS = 8, 8, 32, 12
SIZES = {
    "vocab_size": 2048,
    "context_length": 128,
    "width": 128,
    "num_layers": 6,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "hidden_width": 352,
}
RATE = 1e-4


def reward(prompt: str, answer: str) -> float:
    """A share that varies, so that groups have an advantage."""
    return sum(letter in "aeiou" for letter in answer) / max(1, len(answer))


def prompts() -> list[str]:
    """Questions of like length."""
    return [f"Say the word {chr(97 + place) * 4} for me." for place in range(PROMPTS)]


def tokenizer() -> Any:
    """A tokenizer of up to 2,048 tokens, trained on these very sources: nothing else is read."""
    from cutaway.tokenizer.fast import train

    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")]
    return train(texts * 4, vocab_size=SIZES["vocab_size"])


def ours(steps: int) -> float:
    """Seconds a step of ours, the first left out."""
    import torch

    from cutaway.alignment.choices import GRPOConfig
    from cutaway.alignment.grpo import GRPO
    from cutaway.alignment.rewards import FunctionReward, Scorer
    from cutaway.alignment.rollout import PromptPool, Roller
    from cutaway.devices import keep_freed_memory
    from cutaway.models.catalog import build
    from cutaway.text.conversations import Message
    from cutaway.training.choices import OptimizerConfig
    from cutaway.training.optimizers import optimizer_for
    from cutaway.training.plan import Plan
    from cutaway.training.state import TrainingState

    keep_freed_memory()
    model, reference = (
        build({"architecture": "llama", **SIZES}, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    known = tokenizer()
    roller = Roller(model, known, max_tokens=TOKENS)
    roller.stop_ids = frozenset()
    rates = dict.fromkeys(
        ("learning_rate", "embedding_rate", "unembedding_rate", "vector_rate"), RATE
    )
    state = TrainingState(
        model=model,
        optimizer=optimizer_for(model, OptimizerConfig(kind="adamw", **rates)),
        plan=Plan(steps=steps + 1),
    )
    learner = GRPO(
        GRPOConfig(prompts=PROMPTS, answers=ANSWERS, minibatch=PROMPTS * ANSWERS),
        roller=roller,
        reference=reference,
        pool=PromptPool([(Message(role="user", content=text),) for text in prompts()], seed=0),
        scorer=Scorer(FunctionReward(reward)),
        seed=0,
    )
    seconds = []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        learner.take(state, 1.0)
        seconds.append(time.perf_counter() - begin)
        state.step += 1
    return statistics.median(seconds[1:])


def trl(steps: int) -> float:
    """Seconds a step of TRL's GRPOTrainer, the first left out."""
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    with tempfile.TemporaryDirectory() as folder:
        tokenizer().save(Path(folder))
        known = PreTrainedTokenizerFast(
            tokenizer_file=f"{folder}/tokenizer.json",
            pad_token="<|padding|>",
            eos_token="<|endoftext|>",
        )
        config = LlamaConfig(
            vocab_size=SIZES["vocab_size"],
            hidden_size=SIZES["width"],
            num_hidden_layers=SIZES["num_layers"],
            num_attention_heads=SIZES["num_heads"],
            num_key_value_heads=SIZES["num_key_value_heads"],
            intermediate_size=SIZES["hidden_width"],
            max_position_embeddings=SIZES["context_length"],
            eos_token_id=None,
            pad_token_id=known.pad_token_id,
        )
        seconds: list[float] = []
        last = [time.perf_counter()]

        def timed(completions: list[str], **_: Any) -> list[float]:
            seconds.append(time.perf_counter() - last[0])
            last[0] = time.perf_counter()
            return [reward("", text) for text in completions]

        trainer = GRPOTrainer(
            model=LlamaForCausalLM(config),
            reward_funcs=timed,
            processing_class=known,
            train_dataset=Dataset.from_dict({"prompt": prompts() * (steps + 2)}),
            args=GRPOConfig(
                output_dir=folder,
                use_cpu=True,
                per_device_train_batch_size=PROMPTS * ANSWERS,
                num_generations=ANSWERS,
                max_completion_length=TOKENS,
                generation_kwargs={"min_new_tokens": TOKENS},
                max_steps=steps + 2,
                learning_rate=RATE,
                beta=0.02,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                bf16=False,
                gradient_checkpointing=False,
                disable_tqdm=True,
            ),
        )
        last[0] = time.perf_counter()
        trainer.train()
    # From one scoring to the next: an update and a rollout. The first has the start-up in it.
    return statistics.median(seconds[2:])


def main() -> None:
    """Runs both in turn, each in a process of its own, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", choices=["ours", "trl"])
    given = parser.parse_args()
    if given.one:
        print(json.dumps({"ours": ours, "trl": trl}[given.one](given.steps)))
        return
    found: dict[str, list[float]] = {"ours": [], "trl": []}
    for _ in range(given.rounds):
        for name, seconds in found.items():
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, "--steps", str(given.steps)],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(float(done.stdout.strip().splitlines()[-1]))
    middle = {name: statistics.median(seconds) for name, seconds in found.items()}
    print("| steps of GRPO a second | ours | TRL | ratio |\n|---|---|---|---|")
    print(
        f"| {PROMPTS * ANSWERS} answers of {TOKENS} tokens | {1 / middle['ours']:.2f} | "
        f"{1 / middle['trl']:.2f} | {middle['trl'] / middle['ours']:.1f} |"
    )


if __name__ == "__main__":
    main()
