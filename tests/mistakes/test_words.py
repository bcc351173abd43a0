"""Mistakes in what is typed and in recipes: each is told with its place and its way out."""

from pathlib import Path

import pytest

from tests.mistakes.conftest import QUICK, TOY, Tell

TYPED = {
    "an unknown verb": ("pretrian data=texts", "`pretrian` is not a verb; did you mean `pretrain`"),
    "an option before the verb": ("--debug pretrain", "the verb comes first"),
    "an unknown option": ("generate toy x --jsn", "`--jsn` is not an option; did you mean --json"),
    "a key with dashes": ("generate toy --temperature=0", "without dashes: temperature=0"),
    "a word too many": ("pretrain texts", "`texts` is a word too many", "data=PATH"),
    "a misspelt key": (
        "pretrain data=texts stpes=3",
        "command line, `stpes=3`: unknown key `stpes`; did you mean `steps`?",
    ),
    "a misspelt key of a table": ("pretrain model.widht=3", "did you mean `model.width`?"),
    "a key outside of its table": ("pretrain warmup=0.1", "did you mean `schedule.warmup`?"),
    "a key given twice": ("generate toy x model=toy", "`model` is given twice", "keep one"),
    "a text for a number": (
        "pretrain steps=many",
        "command line, `steps=many`: `steps` was given the text",
        "allowed is a whole number",
    ),
    "half a step": ("pretrain steps=1.5", "`steps` was given the number 1.5", "a whole number"),
    "no step": ("pretrain steps=0", "steps=0 is out of range; give more than 0"),
    "a number too large": ("generate toy x seed=" + "9" * 30, "of at most 9,223,372,036,854"),
    "no number": ("generate toy x temperature=nan", "a number that is finite"),
    "steps and minutes": ("pretrain steps=3 minutes=1", "a run has one length", "minutes=none"),
    "steps in two places": ("pretrain steps=3 pacing.steps=4", "a run has one length"),
    "no such choice": ("pretrain optimizer.kind=sgd", "allowed is one of muon, adamw"),
    "a misspelt architecture": ("pretrain model.architecture=gtp", "did you mean gpt?"),
    "a missing recipe": ("pretrain 1_pretrian.toml", "no such recipe", "1_pretrain.toml"),
    "two recipes": ("pretrain a.toml b.toml", "one recipe at a time"),
    "a size out of range": ("pretrain data=texts run=r size=99", "size=99", "1 to 32"),
    "too few tokens": ("pretrain vocab_size=10", "`vocab_size=10`", "give 262"),
    "too many tokens": ("pretrain vocab_size=10000000", "to 1,000,000"),
    "a negative learning rate": ("pretrain optimizer.learning_rate=-1", "give 0 or more"),
    "a warm-up of seven runs": ("pretrain schedule.warmup=7", "`schedule.warmup=7`", "0 to 1"),
    "no width": ("pretrain model.width=0", "model.width=0 is out of range; allowed is 1 to"),
    "heads that do not fit": (f"pretrain data=texts run=r {TOY} model.num_heads=3", "num_heads 3"),
    "a setting of another model": (
        f"pretrain data=texts run=r {TOY} model.pair_rows=5",
        "model.pair_rows does not go with model.architecture=gpt; that has:",
    ),
    "no thread": ("pretrain pacing.threads=0", "threads=0 is out of range"),
    "an empty path": ("pretrain data=texts run=", '`run` was given the text ""', "a path"),
    "a missing MODEL": ("generate", "`model` is missing: write model=...", "a run folder"),
    "no prompt for a chat": ("generate toy form=chat", "the prompt is empty; ask something"),
    "a prompt too long": (f"generate toy '{'king ' * 99}'", "reads 32 at once", "shorten it by"),
    "a temperature below zero": ("generate toy x temperature=-1", "temperature is -1.0", "100"),
    "a top_k of zero": ("generate toy x top_k=0", "top_k is 0", "top_k >= 1"),
    "a top_p above one": ("generate toy x top_p=2", "top_p is 2.0", "top_p <= 1"),
    "two cuts at once": ("generate toy x top_k=2 top_p=0.5", "give one of top_k, top_p and min_p"),
    "no token to write": ("generate toy x max_tokens=0", "max_tokens=0", "give 1 or more"),
    "an unknown device": ("generate toy x device=tpu", "device=tpu is not known", "cuda:1, mps"),
    "a system prompt for a text": ("generate toy x system=a form=text", "system= is for form=chat"),
    "chat with a temperature below zero": ("chat toy temperature=-1", "temperature is -1.0"),
    "nothing to learn from": ("finetune toy run=r", "give data=PATH or a [[mixture]] table"),
    "no epoch": ("finetune toy data=chats.jsonl epochs=0", "epochs=0", "give more than 0"),
    "a LoRA rank below zero": ("finetune toy data=chats.jsonl lora.rank=-1", "`lora.rank=-1`"),
    "a LoRA rank above the width": (
        f"finetune toy data=chats.jsonl run=r lora.rank=99 {QUICK}",
        "rank is 99",
        "give a rank from 1 to 16",
    ),
    "a LoRA target that fits nothing": (
        f"finetune toy data=chats.jsonl run=r lora.rank=4 lora.targets=querry {QUICK}",
        "no linear map is called '*.querry'; this model has: ",
        "*.query_projection",
    ),
    "an unknown action": ("data shwo texts", "did you mean show?"),
    "an action without its source": ("data check", "needs a source", "data check basic-english"),
    "an unknown model to show": ("show gtp2", "did you mean gpt2?"),
    "a demo without pace": ("demo pace=0", "pace=0.0 is out of range"),
    "recipes that are not there": ("demo recipes=nowhere run=r", "nowhere/1_pretrain.toml"),
    "no item to judge by": ("evaluate toy items=0", "items=0 is out of range; give 1 or more"),
}

RECIPES = {
    "broken TOML": ("steps = 3\nsteps = = 4\n", "recipe.toml, line 2: not TOML"),
    "a misspelt key": (
        "# mine\n\nstpes = 3\n",
        "line 3: unknown key `stpes`; did you mean `steps`",
    ),
    "a misspelt table": ("[optimiser]\nkind = 'muon'\n", "line 1", "did you mean `optimizer`?"),
    "a wrong type": ("size = '3'\n", "line 1: `size` was given the text", "a whole number"),
    "a negative share": (
        '[[mixture]]\nsource = "texts"\n\n[[mixture]]\nsource = "texts"\nshare = -1.0\n',
        "recipe.toml, line 6: share -1.0 of texts is negative; give 0 or more",
    ),
    "every share zero": (
        '[[mixture]]\nsource = "texts"\nshare = 0.0\n',
        "every share of the mixture is 0",
    ),
    "an unknown skill": (
        '[[mixture]]\nsource = "skill:speling"\n',
        "there is no skill 'speling'; did you mean skill:spelling?",
    ),
    "a length in two ways": ("steps = 3\nminutes = 4.0\n", "line 1", "a run has one length"),
    "a value out of range": ("\n[schedule]\nwarmup = 7.0\n", "line 3: warmup=7.0", "0 to 1"),
    "far too large a file": ("#" * 2**21, "larger than 1,048,576 bytes", "data=PATH"),
    "code to import": ('[model]\n_target_ = "os.system"\n', "line 2: unknown key `model._target_`"),
    "code to load": ('"!!python/object" = "os.system"\n', "line 1: unknown key"),
}


@pytest.mark.parametrize(("command", "says"), [(m[0], m[1:]) for m in TYPED.values()], ids=TYPED)
def test_what_was_typed_wrong_is_told_with_the_way_out(
    tell: Tell, command: str, says: tuple[str, ...]
) -> None:
    Path("1_pretrain.toml").write_text("steps = 2\n")
    told = tell(command)
    assert told.code == 2
    for fragment in says:
        assert fragment in told.errors


@pytest.mark.parametrize(("text", "says"), [(m[0], m[1:]) for m in RECIPES.values()], ids=RECIPES)
def test_what_is_wrong_in_a_recipe_is_told_with_its_line(
    tell: Tell, text: str, says: tuple[str, ...]
) -> None:
    Path("recipe.toml").write_text(text)
    told = tell("pretrain recipe.toml run=r")
    assert told.code == 2
    for fragment in says:
        assert fragment in told.errors


def test_a_recipe_that_is_no_text_is_told_with_its_line(tell: Tell) -> None:
    Path("recipe.toml").write_bytes(b"steps = 3\nrun = '\xff'\n")
    told = tell("pretrain recipe.toml")
    assert told.code == 2
    assert "recipe.toml, line 2: byte 0xff is not UTF-8" in told.errors


def test_a_mistake_is_one_json_object_for_a_program(tell: Tell) -> None:
    told = tell("pretrain stpes=3 --json")
    assert told.code == 2
    assert told.errors == ""
    assert told.output.startswith('{"error": {"kind": "ConfigError", "code": 2, "message": ')
    assert told.output.count("\n") == 1


def test_an_unknown_verb_is_one_json_object_too(tell: Tell) -> None:
    told = tell("pretrian --json")
    assert (told.code, told.errors) == (2, "")
    assert "did you mean `pretrain`" in told.output
