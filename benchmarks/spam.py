"""SMS spam by ten balanced draws: our classifier beside a bag of words, on the same texts.

Each draw takes as many wanted messages as there are unwanted ones, repeats removed, 300 of them to
test by, and fine-tunes the encoder of recipes/spam/1_pretrain.toml anew. Needs CUTAWAY_DATA.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from pathlib import Path

import interleaved

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Fine-tunes and tests every draw, and prints the means."""
    from cutaway import devices, settings
    from cutaway.console import PlainConsole
    from cutaway.stages import finetune

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--model", type=Path, help="none: begins from nothing")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    devices.prepare_process()
    recipe = settings.load(finetune.Config, recipe=ROOT / "recipes/spam/2_balanced.toml")
    console = PlainConsole(prose=sys.stderr, output=sys.stdout, errors=sys.stderr)
    ours: list[float] = []
    rival: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for draw in range(arguments.draws):
            run = Path(folder) / str(draw)
            config = dataclasses.replace(recipe, run=run, seed=draw, model=arguments.model)
            finetune.run(config, console=console)
            found = json.loads((run / "report.json").read_text())["classes"]
            ours.append(found["accuracy"]["value"])
            rival.append(found["rival"]["value"])
            interleaved.say(f"draw {draw}: ours {ours[-1]:.1%}, bag of words {rival[-1]:.1%}")
    name = "from nothing" if arguments.model is None else str(arguments.model)
    print(f"{name}: mean {statistics.mean(ours):.2%}, bag of words {statistics.mean(rival):.2%}")
    if arguments.json is not None:
        comparison = interleaved.Comparison(
            name=f"balanced draws, {name}", ours="ours", peer="bag of words", unit="accuracy"
        )
        means = interleaved.compared([comparison], {"ours": ours, "bag of words": rival})
        for one in means.values():
            one["machine"] = interleaved.machine()
            one["mean"] = {"ours": statistics.mean(ours), "peer": statistics.mean(rival)}
        arguments.json.write_text(json.dumps(means, indent=2) + "\n")


if __name__ == "__main__":
    main()
