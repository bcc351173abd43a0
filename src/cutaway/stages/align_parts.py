"""The parts of an alignment as its settings ask for them: questions, rewards, method and trials."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from cutaway.errors import ConfigError, DataError
from cutaway.run_folder import RunFolder, hash_of_file
from cutaway.stages.aligning import is_held_out, mean_error, rankings_from

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from cutaway.alignment.dpo import WrittenPair
    from cutaway.alignment.health import Health
    from cutaway.alignment.questions import Questions
    from cutaway.alignment.remembering import Remembering
    from cutaway.alignment.rewards import Reward, Scorer
    from cutaway.alignment.trial import Trial
    from cutaway.console import Console
    from cutaway.interop.open import Opened
    from cutaway.stages.align import Config
    from cutaway.training.loop import Taken
    from cutaway.training.session import Session
    from cutaway.training.state import TrainingState

HELD_OUT_JUDGEMENTS = 0.1
"""Share of the prompts whose judgements DPO is only tested on; the same as a reward model's."""
SHOWN_SAMPLES = 3
LOOK_SEED, TRIAL_SEED = 1_000_003, 2_000_003
"""Added to the run's seed where held-out questions are answered."""


@runtime_checkable
class Method(Protocol):
    """Something that takes steps."""

    def take(self, state: "TrainingState", factor: float) -> "Taken":
        """Makes one step."""


class Parts:
    """Opens what the settings name, and wires it."""

    def __init__(
        self, config: "Config", *, policy: "Opened", reference: "Opened", console: "Console"
    ) -> None:
        from cutaway.alignment.ppo import VALUE
        from cutaway.alignment.reward import new_head
        from cutaway.alignment.rollout import Roller

        self._config, self.console = config, console
        self.policy = cast("nn.Module", policy.model)
        self.reference = cast("nn.Module", reference.model)
        self._roller = Roller(self.policy, policy.tokenizer, max_tokens=config.max_tokens)
        self._before = Roller(self.reference, policy.tokenizer, max_tokens=config.max_tokens)
        self.questions = self._fitting(_questions(config))
        self.hashes: dict[str, str] = {}
        self._scorers = {
            name: self._scorer(name, given)
            for name, given in (("reward", config.reward), ("truth", config.truth))
            if given is not None
        }
        self.companions: dict[str, nn.Linear] = {}
        if config.method == "ppo":
            self.companions[VALUE] = new_head(self.policy)
        self._pairs, self._tested = self._judged() if config.method == "dpo" else ([], [])
        self.health: Health | None = None

    def close(self) -> None:
        """Ends the programs that give rewards."""
        for scorer in self._scorers.values():
            scorer.close()

    def method(self) -> Method:
        """Makes what takes the steps."""
        from cutaway.alignment.best_of import BestOf
        from cutaway.alignment.dpo import DPO
        from cutaway.alignment.grpo import GRPO
        from cutaway.alignment.ppo import PPO
        from cutaway.alignment.rollout import PromptPool
        from cutaway.alignment.rounds import Rounds

        config = self._config
        if config.method == "dpo":
            return DPO(
                config.dpo,
                pairs=self._pairs,
                reference=self.reference,
                seed=config.seed,
                clip_norm=config.manner.clip_norm,
                remembering=self._remembering(),
            )
        rounds = Rounds(
            self._roller,
            reference=self.reference,
            pool=PromptPool([each.prompt for each in self.questions.learned], seed=config.seed),
            scorer=self._scorers["reward"],
            seed=config.seed,
            clip_norm=config.manner.clip_norm,
            remembering=self._remembering(),
        )
        match config.method:
            case "ppo":
                return PPO(config.ppo, rounds)
            case "grpo":
                return GRPO(config.grpo, rounds)
            case "best_of":
                return BestOf(config.best_of, rounds)

    def steps(self) -> int:
        """How many steps the method takes unless told."""
        from cutaway.stages.align import STEPS

        if self._config.method == "dpo":
            return max(5, round(2 * len(self._pairs) / self._config.dpo.pairs))
        return STEPS[self._config.method]

    def look(self, state: "TrainingState", session: "Session") -> None:
        """Lets the policy answer held-out questions, scores them, and shows a few."""
        found: dict[str, float] = {}
        if self._tested:
            found["held_out_accuracy"] = self._accuracy()[0] / len(self._tested)
        prompts = [each.prompt for each in self.questions.held_out[: self._config.held_out]]
        if self._scorers:
            found |= self._held_out(state, prompts)
        session.write({"step": state.step, "seconds": round(state.seconds, 3), **found})
        told = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())
        self.console.say(f"step {state.step}: {told}")
        for prompt, answer in zip(
            prompts, self._roller.answers(prompts[:SHOWN_SAMPLES]), strict=False
        ):
            asked = prompt[-1].content
            session.folder.samples.append(
                {"stage": "align", "step": state.step, "prompt": asked, "text": answer}
            )
            self.console.say(f"  {asked} -> {answer.strip()!r}")

    def trial(self, state: "TrainingState", folder: RunFolder) -> dict[str, Any]:
        """Lets both models answer held-out questions, says who wins, and writes it down."""
        from cutaway.alignment.trial import compare
        from cutaway.evaluation.intervals import bootstrap_mean, wilson

        told: dict[str, Any] = {}
        self.policy.eval()
        if self._tested:
            right, count = self._accuracy()
            told["held_out_accuracy"] = accuracy = wilson(right, count)
            words = f"{accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"
            self.console.say(f"held-out judgements: {words} of {count} agreed with")
        if self._scorers:
            prompts = [each.prompt for each in self.questions.held_out[: self._config.trials]]
            scorer = self._scorers.get("truth", self._scorers.get("reward"))
            assert scorer is not None
            seed = self._config.seed + TRIAL_SEED
            found = compare(self._roller, self._before, prompts=prompts, scorer=scorer, seed=seed)
            if not found.after:
                raise DataError("no held-out answer has a reward, so nobody can win")
            # A tie is half a win; of an odd number of them the half is given away.
            wins = found.wins + found.ties // 2
            told["win_rate"] = wilson(wins, len(found.after))
            told["kl"] = bootstrap_mean(found.kl)
            told["reward"] = (_mean(found.before), _mean(found.after))
            self._tell_trial(found, told, by="truth" if self._config.truth else "reward")
        record = {"stage": "align", "step": state.step, **_plain(told)}
        if record not in folder.metrics.read():  # the same command may be given again
            folder.metrics.append(record)
        return told

    def write_to(self, folder: RunFolder) -> Callable[[dict[str, Any]], None]:
        """Returns what appends a line to the metrics."""
        return lambda record: folder.metrics.append({"stage": "align", **record})

    def _tell_trial(self, found: "Trial", told: Mapping[str, Any], *, by: str) -> None:
        wins, kl = told["win_rate"], told["kl"]
        self.console.table(
            f"{len(found.after)} held-out questions, the model before and after",
            columns=["measure", "value"],
            rows=[
                ["wins", f"{wins.value:.1%} ({wins.low:.1%} to {wins.high:.1%})"],
                ["ties among them, by half", f"{found.ties / len(found.after):.1%}"],
                [f"{by} before", f"{told['reward'][0]:.3f}"],
                [f"{by} after", f"{told['reward'][1]:.3f}"],
                ["nats an answer away", f"{kl.value:.2f} ({kl.low:.2f} to {kl.high:.2f})"],
                ["tokens before", f"{found.lengths[0]:.1f}"],
                ["tokens after", f"{found.lengths[1]:.1f}"],
            ],
        )

    def _held_out(self, state: "TrainingState", prompts: Sequence[Any]) -> dict[str, float]:
        """Scores drawn answers to held-out questions, and how far they have gone."""
        from cutaway.alignment.health import Look, signs_in_looks
        from cutaway.alignment.rollout import row_seeds
        from cutaway.alignment.sequences import logprob_sums

        seeds = row_seeds(self._config.seed + LOOK_SEED, 0, count=len(prompts))
        rollout = self._roller.roll_out(prompts, seeds=seeds)
        ratios = logprob_sums(self.policy, rollout.written)
        ratios = ratios - logprob_sums(self.reference, rollout.written)
        found = {"held_out_kl": float(ratios.mean())}
        values = {
            name: scorer.score(rollout.exchanges).values for name, scorer in self._scorers.items()
        }
        for name, scores in values.items():
            found["truth" if name == "truth" else "held_out_reward"] = _mean(scores)
        found["held_out_length"] = float(rollout.lengths.mean())
        if self.health is not None and {"reward", "truth"} <= values.keys():
            looks = state.notes.setdefault("looks", [])
            rewards, truths = values["reward"], values["truth"]
            looks.append([_mean(rewards), _mean(truths), mean_error(truths)])
            seen = [Look(reward=r, truth=t, truth_error=e) for r, t, e in looks]
            self.health.say(signs_in_looks(seen), state)
        return found

    def _scorer(self, name: str, given: str) -> "Scorer":
        from cutaway.alignment.rewards import Scorer

        return Scorer(self._reward(name, given), most_failing=self._config.most_failing)

    def _reward(self, name: str, given: str) -> "Reward":
        from pathlib import Path

        from cutaway.alignment.rewards import ProgramReward, RuleReward, TasteReward

        if given == "taste":
            return TasteReward()
        if given == "rule":
            if not self.questions.known:
                raise ConfigError(f"{name}=rule scores the questions of skills; leave prompts= out")
            return RuleReward(self.questions.known)
        if given.startswith("program:"):
            command = [given.removeprefix("program:")]
            return ProgramReward(command, seconds=self._config.reward_seconds)
        return self._model_reward(name, Path(given))

    def _model_reward(self, name: str, path: "Path") -> "Reward":
        from cutaway import checkpoint
        from cutaway.alignment.reward import HEAD, ModelReward, new_head
        from cutaway.interop.open import open_model
        from cutaway.models.weights import load_weights

        opened = open_model(path)
        found = checkpoint.load(opened.source.checkpoint)
        if f"{HEAD}.safetensors" not in found.files:
            raise ConfigError(
                f"{name}={path}: a model without a reward head (made by `cutaway "
                f"{opened.source.stage}`)\ngive a run of `cutaway reward`, rule, taste or "
                "program:PATH"
            )
        self.hashes[f"{name}_model"] = hash_of_file(found.path / "MANIFEST.json")
        model = cast("nn.Module", opened.model)
        head = new_head(model)
        load_weights(head, found.tensors(HEAD))
        return ModelReward(model, head, tokenizer=opened.tokenizer)

    def _judged(self) -> "tuple[list[WrittenPair], list[WrittenPair]]":
        """Pairs to learn from, and others to test on: judged ones, or drawn and scored ones."""
        from itertools import combinations

        from cutaway.alignment.dpo import WrittenPair, drawn_pairs
        from cutaway.alignment.rewards import Exchange
        from cutaway.alignment.sequences import written_by

        config = self._config
        if config.data is None:
            prompts = [each.prompt for each in self.questions.learned][: config.dpo.drawn]
            scorer = self._scorers["reward"]
            self.console.say(f"draws {config.dpo.answers} answers to {len(prompts)} questions")
            pairs = drawn_pairs(
                self._before, prompts, answers=config.dpo.answers, scorer=scorer, seed=config.seed
            )
            return pairs, []
        rankings, told = rankings_from(config.data)
        parts: tuple[list[WrittenPair], list[WrittenPair]] = ([], [])
        room = self._roller.longest_written
        for ranking in rankings:
            written = [
                written_by(self._roller.chat, Exchange(prompt=ranking.prompt, answer=each.text))
                for each in ranking.answers
            ]
            place = int(is_held_out(ranking, share=HELD_OUT_JUDGEMENTS))
            parts[place].extend(
                WrittenPair(chosen=better, rejected=worse)
                for better, worse in combinations(written, 2)
                if max(len(one.prompt) + len(one.answer) for one in (better, worse)) <= room
            )
        self.console.say(f"{told}: {len(parts[0])} pairs to learn from, {len(parts[1])} held out")
        return parts

    def _remembering(self) -> "Remembering | None":
        """Examples of what the model was taught and is not asked now, or nothing."""
        from cutaway.alignment.questions import examples_in_turn
        from cutaway.alignment.remembering import Remembering, old_answers
        from cutaway.data.mixture import skill_named

        config = self._config
        names = [name for name in _taught(config) if name not in _asked(config)]
        if not names or config.remembering.rows == 0:
            return None
        examples = examples_in_turn(
            [skill_named(name) for name in names],
            "train",
            count=config.remembering.answers,
            seed=config.seed,
        )
        answers = old_answers(
            [example for _, example in examples],
            self._roller.chat,
            longest=self._roller.longest_written,
        )
        self.console.say(f"{len(answers)} old answers are kept in mind: {', '.join(names)}")
        return Remembering(config.remembering, answers, seed=config.seed)

    def _accuracy(self) -> tuple[int, int]:
        from cutaway.alignment.dpo import pair_accuracy

        return pair_accuracy(self.policy, self.reference, self._tested)

    def _fitting(self, questions: "Questions") -> "Questions":
        """Leaves questions out that leave no room for an answer."""
        from cutaway.alignment.questions import Questions

        kept = Questions(
            learned=tuple(each for each in questions.learned if self._roller.fits(each.prompt)),
            held_out=tuple(each for each in questions.held_out if self._roller.fits(each.prompt)),
        )
        left = len(questions.learned) - len(kept.learned)
        if left:
            self.console.warn(f"{left} questions are too long for the model and are left out")
        if not kept.learned or not kept.held_out:
            raise DataError(
                "there are too few questions: some are needed to learn from and some to test\n"
                "give skills=, or a file with more prompts, or a smaller max_tokens="
            )
        return kept


def _questions(config: "Config") -> "Questions":
    from cutaway.alignment.prompts import OPEN_NAME, SKILLS_NAME
    from cutaway.alignment.questions import open_questions, questions_of_file, questions_of_skills
    from cutaway.data.mixture import skill_named

    held_out = max(config.held_out, config.trials)
    if config.prompts == OPEN_NAME:
        return open_questions(count=config.questions, held_out=held_out, seed=config.seed)
    if config.prompts != SKILLS_NAME:
        return questions_of_file(
            config.prompts, count=config.questions, held_out=held_out, seed=config.seed
        )
    return questions_of_skills(
        [skill_named(name) for name in _asked(config)],
        count=config.questions,
        held_out=held_out,
        seed=config.seed,
    )


def _taught(config: "Config") -> list[str]:
    """The skills that the model was taught, as the settings of its runs tell."""
    from cutaway.evaluation.lineage import lineage
    from cutaway.text.skills.catalog import SKILLS

    taught = {name for ancestor in lineage(config.model) for name in ancestor.skills}
    return [name for name in SKILLS if name in taught]


def _asked(config: "Config") -> list[str]:
    """The skills whose questions are asked."""
    from cutaway.alignment.prompts import SKILLS_NAME
    from cutaway.text.skills.catalog import SKILLS

    if config.prompts != SKILLS_NAME:
        return []
    return list(config.skills) or _taught(config) or list(SKILLS)


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a trial as a line of metrics."""
    found: dict[str, Any] = {}
    for name, value in told.items():
        if name == "reward":
            found |= {"trial_before": value[0], "trial_after": value[1]}
        else:
            found |= {name if name != "kl" else "trial_kl": value.value}
            found |= {f"{name}_low": value.low, f"{name}_high": value.high}
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / max(1, len(values))
