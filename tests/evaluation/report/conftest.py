"""A made-up run that has every part of a report."""

import json
import math
import random
from pathlib import Path

import pytest

from cutaway.evaluation.compression import CompressionBaselines
from cutaway.evaluation.intervals import Interval, wilson
from cutaway.evaluation.likelihood import Likelihood
from cutaway.evaluation.report.card import ModelFacts, ReportCard, TextScores, TokenizerFacts
from cutaway.evaluation.skills import Answered, SkillResult, SkillScore

REACHED = {
    "dates": (0.0, 31, 200),
    "spelling": (0.0, 4, 194),
    "correcting": (0.0, 2, 141),
    "counting": (0.19, 12, 191),
    "reversing": (0.05, 0, 178),
    "addition": (0.45, 1, 186),
    "subtraction": (0.52, 3, 165),
    "rhymes": (0.01, 0, 96),
    "names": (0.08, 0, 158),
    "identity": (0.1, 0, 199),
    "system_prompt": (0.12, 1, 171),
}

WORDS = "and the light was good so they said unto him go up to the hill of God"


@pytest.fixture
def card() -> ReportCard:
    return full_card()


@pytest.fixture
def run(tmp_path) -> Path:
    write_run(tmp_path)
    return tmp_path


def full_card() -> ReportCard:
    return ReportCard(
        title="runs/demo",
        minutes={
            "data": 0.12,
            "tokenizer": 0.21,
            "pretrain": 5.5,
            "finetune": 2.6,
            "evaluate": 0.8,
        },
        text=TextScores(
            corpus="basic-english",
            stages={"base": scored(1.098), "finetuned": scored(1.131)},
            baselines=CompressionBaselines(gzip=2.241, xz=1.652, ngram5=1.646),
        ),
        skills=[*(skill(name, *REACHED[name]) for name in REACHED), pronunciation()],
        tokenizer=TokenizerFacts(
            vocab_size=2048,
            bytes_per_token=3.61,
            tokens_per_word={
                "Basic English": 1.31,
                "King James": 1.62,
                "German": 3.4,
                "Python": 3.9,
            },
            longest=[" righteousness", " commandments", " children of Israel"[:9]],
            pieces=["And", " God", " said", ",", " Let", " there", " be", " l", "ight", ".", "\n"],
        ),
        model=ModelFacts(
            architecture="llama",
            parameters=3_412_224,
            vocab_size=2048,
            context_length=256,
            details={"layers": "6", "width": "192", "precision": "bf16", "compiled": "yes, by g++"},
        ),
        remarks=[],
        next_command="cutaway chat runs/demo",
    )


def scored(bits: float) -> Likelihood:
    return Likelihood(
        bits_per_byte=Interval(value=bits, low=bits - 0.021, high=bits + 0.019),
        nats_per_token=Interval(value=2.5 * bits, low=2.4 * bits, high=2.6 * bits),
        nats_per_word=Interval(value=3.1 * bits, low=3.0 * bits, high=3.2 * bits),
        num_documents=58,
        num_bytes=209_118,
        num_tokens=57_931,
    )


def skill(name: str, rival: float, before: int, after: int) -> SkillResult:
    answered = [
        Answered(
            question=f"Spell the word {word}.",
            reference=" ".join(word),
            answer=" ".join(word) if word != "light" else "l i g t",
            is_right=word != "light",
        )
        for word in ("house", "water", "light", "stone", "heaven", "morning", "seven", "people")
    ]
    return SkillResult(
        name=name,
        metric="exact",
        baseline=wilson(round(200 * rival), 200),
        stages={
            "base": (
                SkillScore(form="zero-shot", n=50, value=wilson(before // 4, 50), answered=()),
                SkillScore(form="4-shot", n=50, value=wilson(before // 2, 50), answered=()),
            ),
            "finetuned": (
                SkillScore(
                    form="zero-shot", n=200, value=wilson(after, 200), answered=tuple(answered)
                ),
            ),
        },
    )


def pronunciation() -> SkillResult:
    before = Interval(value=0.94, low=0.9, high=0.99)
    after = Interval(value=0.241, low=0.218, high=0.263)
    said = Answered(
        question="Pronounce natty.", reference="N AE T IY", answer="N AE", is_right=False
    )
    return SkillResult(
        name="pronunciation",
        metric="phoneme_error_rate",
        baseline=Interval(value=0.62, low=0.59, high=0.64),
        stages={
            "base": (SkillScore(form="zero-shot", n=50, value=before, answered=()),),
            "finetuned": (SkillScore(form="zero-shot", n=200, value=after, answered=(said,)),),
        },
    )


def write_run(folder: Path) -> None:
    """Writes what the stages of a run leave behind."""
    chance = random.Random(0)
    with (folder / "metrics.jsonl").open("w") as file:
        for stage, steps, floor in (("pretrain", 2400, 1.95), ("finetune", 900, 0.42)):
            for step in range(0, steps + 1, 20):
                start = 7.62 if stage == "pretrain" else 1.9
                loss = floor + (start - floor) * math.exp(-((step / steps * 9) ** 0.55))
                row = {
                    "stage": stage,
                    "step": step,
                    "tokens": step * 6144,
                    "seconds": step * 0.137,
                    "loss": loss + chance.gauss(0, 0.05) * (step > 0),
                    "learning_rate": 0.02 * min(1, step / 60, (steps - step) / steps * 2),
                    "tokens_per_second": 16_400 + chance.gauss(0, 350),
                }
                if step % 200 == 0:
                    row["validation_loss"] = loss + 0.06
                if step % 400 == 0 and stage == "pretrain":
                    row["bits_per_byte"] = loss / 1.8
                file.write(json.dumps(row) + "\n")
        for step in range(101):
            row = {"stage": "align", "step": step, "seconds": 0.5 * step, "loss": -0.01}
            row |= {"reward": 0.5 + 0.003 * step, "kl": 0.05 * step, "length": 20.0}
            if step % 25 == 0:
                row |= {"held_out_kl": 0.05 * step, "held_out_reward": 0.5, "truth": 0.6}
            file.write(json.dumps(row) + "\n")
        trial = {"win_rate": 0.75, "win_rate_low": 0.68, "win_rate_high": 0.8, "trial_kl": 4.9}
        told = {"stage": "align", "step": 100, "trial_before": 0.5, "trial_after": 0.8}
        file.write(json.dumps(told | trial) + "\n")
        warned = {"stage": "align", "step": 60, "warning": "the policy collapses"}
        file.write(json.dumps(warned) + "\n")
    with (folder / "samples.jsonl").open("w") as file:
        for prompt in ("And God said,", "In the morning", "Question: What is 2 + 3?\nAnswer:"):
            for step in range(0, 2401, 200):
                clear = min(1.0, step / 1200)
                text = " ".join(
                    word if chance.random() < clear else "".join(chance.sample(word, len(word)))
                    for word in chance.choices(WORDS.split(), k=22)
                )
                row = {"stage": "pretrain", "step": step, "prompt": prompt, "text": f" {text}"}
                file.write(json.dumps(row) + "\n")
    (folder / "config.toml").write_text(
        'size = 3\nseed = 0\n\n[model]\nwidth = 192\nname = "<b>"\n'
    )
    told = {"python": "3.11.7", "packages": {"torch": "2.13.0", "numpy": "2.4.6"}, "cores": 2}
    (folder / "provenance.json").write_text(json.dumps(told | {"command": ["cutaway", "demo"]}))
