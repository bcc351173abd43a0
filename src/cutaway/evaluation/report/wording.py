"""Every sentence of the report that does not depend on the run."""

LANGUAGE = "en"

SECTIONS = {
    "classes": "Classes",
    "masked": "Hidden words",
    "pairs": "What it writes for what it reads",
    "verses": "New poems",
    "text": "Held-out text",
    "skills": "Skills",
    "normal": "What is normal, and what is not",
    "prompts": "What the base model can do when asked well",
    "alignment": "What judgements and rewards made of it",
    "curves": "How it learned",
    "samples": "Gibberish turning into sentences",
    "tokenizer": "The tokenizer",
    "time": "Where the minutes went",
    "settings": "Settings and provenance",
}
"""Heading of each section by its anchor, in the order of the page."""

CONTENTS = {
    "classes": "Classes",
    "masked": "Hidden words",
    "pairs": "Pairs",
    "verses": "Poems",
    "text": "Text",
    "skills": "Skills",
    "normal": "Normal?",
    "prompts": "Prompts",
    "alignment": "Alignment",
    "curves": "Curves",
    "samples": "Samples",
    "tokenizer": "Tokenizer",
    "time": "Time",
    "settings": "Settings",
}
"""The same, shorter, for the list of contents."""

CHAT = "Talk to it"
SKIP = "Skip to the report"

CLASSES_LEAD = (
    "Texts that took no part in learning or calibration. The rival counts words and pairs of words "
    "(tf-idf) and separates them by logistic regression, chosen on the same texts that calibrated "
    "this model. Where it is as good, it is the better choice: it learns in a second."
)
BAG_OF_WORDS, MAJORITY = "bag of words", "always the commonest class"
ALL_CLASSES, ERRORS, NO_ERRORS = "mean of the classes", "Put into a wrong class", "No error."
MASKED_LEAD = (
    "Words of held-out text are hidden, and the model names them from what stands on both sides. "
    "Half of the texts end with a part that does not follow, and it says which."
)
HIDDEN_WORDS, ORDER = "hidden tokens named right", "order judged right"
NATS, GUESSING = "nats a hidden token", "guessing"

PAIRS_LEAD = (
    "Beside the model stands what is reached without learning. BLEU and chrF go from 0 to 100, and "
    "their intervals are sacrebleu's bootstrap over the pairs."
)
RIVALS = {
    "copy": "the source, copied",
    "lead": "its first line",
    "dictionary": "words of the training pairs",
}
MEASURES = {
    "bleu": "BLEU",
    "bleu_lowercased": "BLEU, lowercased",
    "chrf": "chrF",
    "exact": "exact targets",
    "word_error": "targets missed",
    "phoneme_error": "phonemes missed",
    "rouge_l": "ROUGE-L (F1)",
}
DRAWN, BEST, WORST = "Drawn at random", "The nearest", "The furthest off"
NO_TEXT = "(nothing)"

VERSES_LEAD = (
    "Poems written after the name of a form alone. A clause is in the form where it has as many "
    "characters as the name says, and nothing but Chinese characters. A line is memorised where it "
    "stands in the training text, character for character; poets repeat each other too, so the "
    "same is counted in held-out poems."
)
MEMORISED, NOT_MEMORISED = "Lines that stand in the training text", "No line was memorised."

TEXT_LEAD = (
    "Bits that are needed for each byte of text which the model has never seen; less is better. "
    "Every byte is scored once, from the text before it. A compressor is measured on the same text "
    "after it has read the training text."
)
TEXT_NAMES = {"gzip": "gzip -9", "xz": "xz -9e", "ngram5": "5-gram over bytes"}

SKILLS_LEAD = (
    "Each skill is tested on questions that training has never seen, by the most probable answer. "
    "Lines show the range in which the true value lies with 95% confidence. The grey bar is a "
    "trivial answer: copying, or always the same."
)
EXACT_LABEL = "Share of exact answers. Further right is better."
RATE_LABEL = "Phoneme error rate: edits over phonemes. Further left is better."
METRICS = {"exact": "exact answers", "phoneme_error_rate": "phoneme error rate (less is better)"}
ANSWERS = "What it answers"
RIGHT, WRONG = "right", "wrong"

PROMPTS_LEAD = (
    "The base model has only learned to continue text. Zero-shot shows it the question alone, "
    "few-shot a few answered questions first. Each cell: the value and its 95% interval."
)

CURVES_LEAD = (
    "Loss is the mean surprise at the next token, in nats: 0 would be perfect foresight. The scale "
    "is logarithmic, because the first steps win much and the later ones little. The faint line is "
    "single steps, the strong one their moving mean. Bits per byte along the way are taken from a "
    "small sample of the held-out text. In fine-tuning, validation is the loss of held-out answers "
    "alone, while training also reads plain text, which is harder."
)
LOSS, HELD_OUT = "Loss (nats a token)", "Bits per byte of held-out text"
RATE, SPEED = "Learning rate (share of its peak)", "Tokens a second"
TRAINING, MEAN, VALIDATION = "single steps", "training", "validation"
AS_TABLE = "Read as a table"

SAMPLES_LEAD = (
    "What the model wrote after the same prompts while it was trained. The words of the prompt are "
    "grey; the number is the step."
)

ALIGNMENT_LEAD = (
    "The policy draws answers and moves towards those that the reward prefers; the distance is how "
    "far it has left the model that it began as, in nats an answer. Where the reward goes on "
    "rising and the truth does not, the reward is being over-optimised."
)
ALIGNMENT_CURVES = (
    ("reward", "Reward of the answers drawn", 1),
    ("kl", "Distance from the start (nats an answer)", 2),
    ("length", "Tokens an answer", 3),
    ("entropy", "Entropy (nats a token)", 4),
    ("accuracy", "Share of judgements agreed with", 1),
    ("groups_with_advantage", "Share of groups with any advantage", 3),
)
DISTANCE_CURVES = (
    ("truth", "Truth over distance from the start", 2),
    ("held_out_reward", "Reward over distance from the start", 1),
)
NATS = "nats"
NO_TURN = (
    "On held-out prompts the truth is best ({best:.3f}) at the greatest distance, {at:.1f} nats an "
    "answer: nothing is over-optimised yet."
)
TURN = (
    "Over-optimisation begins at {at:.1f} nats an answer: on held-out prompts the truth is best "
    "there ({best:.3f}). Further away the reward goes on rising, from {reward:.3f} to {risen:.3f} "
    "at {far:.1f} nats, and the truth falls to {last:.3f}."
)
FALL = (
    "On held-out prompts the truth is best ({best:.3f}) at {at:.1f} nats an answer; at {far:.1f} "
    "nats it is {last:.3f}, and the reward no higher than at the best."
)
FALL_ALONE = (
    "On held-out prompts the truth is best ({best:.3f}) at {at:.1f} nats an answer. Further away "
    "the same judgements are followed still, and at {far:.1f} nats the truth is {last:.3f}."
)
LOOK_COLUMNS = (
    ("held_out_kl", "distance"),
    ("held_out_reward", "reward"),
    ("truth", "truth"),
    ("held_out_length", "tokens"),
    ("held_out_accuracy", "judgements agreed with"),
)
LOOKS = "Held-out prompts along the way"
TRIAL = "The aligned model against the one it began as, on held-out prompts"
WINS, DISTANCE, WORTH = (
    "wins (ties by half)",
    "distance, nats an answer",
    "reward, before and after",
)

AFTER, ASKED = "After", "Asked"

TOKENIZER_LEAD = (
    "A model reads tokens, not letters. Text that resembles the tokenizer's training text needs "
    "fewer of them, and fewer tokens are less work and a longer memory."
)
LONGEST = "The longest tokens"
PIECES = "One sentence as the model sees it"
SPACE, NEWLINE = "·", "⏎"

NORMAL_LEAD = "What this run shows, compared with what healthy runs show."
FINE, LOOK = "as expected", "look here"

TIME_LEAD = "Minutes of each stage on this machine."
STAGES = {
    "base": "before fine-tuning",
    "finetuned": "after fine-tuning",
    "aligned": "after alignment",
    "pretrain": "pretraining",
    "finetune": "fine-tuning",
    "tokenizer": "tokenizer",
    "data": "data",
    "evaluate": "evaluation",
    "reward": "reward model",
    "align": "alignment",
}
"""What stages are called for people; others keep their name."""

SKILLS = {"system_prompt": "system prompt"}

CONFIG, PROVENANCE, MODEL = "Resolved settings", "Provenance", "The model"
FOOT = (
    "This page is one file. It loads nothing from elsewhere and runs no program. "
    "The same figures stand in report.json, every step in metrics.jsonl."
)


def stage_name(stage: str) -> str:
    """Returns what a stage is called for people."""
    return STAGES.get(stage, stage.replace("_", " "))


def skill_name(skill: str) -> str:
    """Returns what a skill is called for people."""
    return SKILLS.get(skill, skill.replace("_", " "))
