"""Steps of GRPO a second: ours beside TRL's, at the same model, answers and lengths.

TRL had a PPO trainer and took it out (1.16 has none, nor among its experiments). Compared is the
nearest of its trainers that lives on: GRPO, which like PPO draws answers, scores them, reads them
again by policy and reference, and steps on a clipped loss; it has no values. A step is 64 answers
of 32 tokens to 8 prompts, a plain function as the reward, the divergence from the reference, and
one step of AdamW on all of it. The model is a Llama of random weights; no answer ends early.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import interleaved
from interleaved import Comparison, Contestant

PROMPTS, ANSWERS, TOKENS = 8, 8, 32
SIZES = {
    "vocab_size": 2048,
    "context_length": 128,
    "width": 128,
    "num_layers": 6,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "hidden_width": 352,
}
RATE, KL_WEIGHT = 1e-4, 0.02


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


def ours(steps: int) -> list[float]:
    """Seconds of each step of ours."""
    import torch

    from cutaway.alignment.choices import GRPOConfig
    from cutaway.alignment.grpo import GRPO
    from cutaway.alignment.rewards import FunctionReward, Scorer
    from cutaway.alignment.rollout import PromptPool, Roller
    from cutaway.alignment.rounds import Rounds
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
        plan=Plan(steps=steps),
    )
    rounds = Rounds(
        roller,
        reference=reference,
        pool=PromptPool([(Message(role="user", content=text),) for text in prompts()], seed=0),
        scorer=Scorer(FunctionReward(reward)),
        seed=0,
    )
    whole = PROMPTS * ANSWERS
    config = GRPOConfig(prompts=PROMPTS, answers=ANSWERS, minibatch=whole, kl_weight=KL_WEIGHT)
    learner = GRPO(config, rounds)
    seconds = []
    for _ in range(steps):
        begin = time.perf_counter()
        learner.take(state, 1.0)
        seconds.append(time.perf_counter() - begin)
        state.step += 1
    return seconds


def trl(steps: int) -> list[float]:
    """Seconds of each step of TRL's GRPOTrainer: from one scoring to the next."""
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
        # Its reference is read from where the model came from, so the model must have a place.
        LlamaForCausalLM(config).save_pretrained(f"{folder}/model")
        seconds: list[float] = []
        last = [time.perf_counter()]

        def timed(completions: list[str], **_: Any) -> list[float]:
            seconds.append(time.perf_counter() - last[0])
            last[0] = time.perf_counter()
            return [reward("", text) for text in completions]

        trainer = GRPOTrainer(
            model=f"{folder}/model",
            reward_funcs=timed,
            processing_class=known,
            train_dataset=Dataset.from_dict({"prompt": prompts() * steps}),
            args=GRPOConfig(
                output_dir=folder,
                model_init_kwargs={"dtype": "float32"},
                use_cpu=True,
                per_device_train_batch_size=PROMPTS * ANSWERS,
                num_generations=ANSWERS,
                max_completion_length=TOKENS,
                generation_kwargs={"min_new_tokens": TOKENS},
                max_steps=steps,
                learning_rate=RATE,
                beta=KL_WEIGHT,
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
    return seconds


def main() -> None:
    """Runs both in turn, each in a process of its own, and prints the table."""
    parser = interleaved.options(__doc__ or "", runs=3)
    parser.add_argument("--steps", type=int, default=14, help="steps of a run; two are left out")
    given = parser.parse_args()
    if given.only:
        seconds = {"ours": ours, "TRL": trl}[given.only](given.steps)
        # The first has the start-up in it, and the second what is made at first use.
        interleaved.hand_over(value=1 / statistics.median(seconds[2:]))
        return
    contestants = [
        Contestant(name=name, words=("--only", name, "--steps", str(given.steps)))
        for name in ("ours", "TRL")
    ]
    runs = interleaved.run_in_turn(Path(__file__), contestants, runs=given.runs)
    comparison = Comparison(
        name=f"GRPO, {PROMPTS * ANSWERS} answers of {TOKENS} tokens",
        ours="ours",
        peer="TRL",
        unit="steps a second",
    )
    interleaved.report([comparison], runs, arguments=given)


if __name__ == "__main__":
    main()
