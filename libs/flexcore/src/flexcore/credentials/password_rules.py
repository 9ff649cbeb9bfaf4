"""Rules for new passwords: long enough, and not among the first that anybody would try."""

import re

from flexmodel.errors import Invalid

LONGEST = 1000
FEWEST_DIFFERENT = 5
RUNS = (
    "abcdefghijklmnopqrstuvwxyz", "01234567890",
    "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
    "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
)  # fmt: skip
GUESSED_FIRST = frozenset(
    """password passwort wachtwoord motdepasse passphrase secret welcome welkom changeme letmein iloveyou admin
    administrator default qwerty azerty test testing example flexmesh flexmeasures energy battery solar electricity
    football baseball basketball soccer hockey superman batman spiderman starwars pokemon dragon monkey tiger princess
    sunshine rainbow flower butterfly chocolate cheese cookie pepper ginger charlie michael jessica ashley jennifer
    daniel thomas jordan hunter killer shadow master computer internet samsung google facebook freedom whatever trustno
    hello goodbye access login guest root user server company office summer winter spring autumn january february
    london paris amsterdam berlin america liverpool arsenal chelsea barcelona""".split()  # noqa: SIM905 - easier to read
)
REPEATED = re.compile(r"(.+?)\1+")
LOOKALIKES = str.maketrans("0134578@$!|", "oieastbasil")


def check(field: str, password: str, shortest: int, *names: str) -> None:
    """Refuse, under the name of the field, a password that is too short or too easy for a user of these names."""
    problem = weakness_of(password, shortest, *names)
    if problem:
        raise Invalid({field: [problem]})


def weakness_of(password: str, shortest: int, *names: str) -> str | None:
    if len(password) < shortest:
        return f"A password has at least {shortest} characters."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    if len(set(password)) < FEWEST_DIFFERENT or is_sequence(password):
        return "This password is too simple: take one that is no row of keys and repeats itself less."
    parts = {simplify(part) for name in names for part in (name, *name.split("@"))}
    if without_repetition(simplify(password)) in GUESSED_FIRST | parts:
        return "This password is too easy to guess: take one that is more than a name or a common word with digits."
    return None


def is_sequence(password: str) -> bool:
    """Return whether the password consists of neighbouring letters, digits or keys."""
    text = password.lower()
    return any(text in run or text[::-1] in run for run in RUNS)


def without_repetition(text: str) -> str:
    """Return the repeated part of a text that consists of repetitions, else the text."""
    repeated = REPEATED.fullmatch(text)
    return repeated[1] if repeated else text


def simplify(text: str) -> str:
    """Return the letters of a password, without the digits and signs that people put around or for them."""
    stripped = text.lower().strip("0123456789!?.,;:-_+*#@$% ")
    return "".join(letter for letter in stripped.translate(LOOKALIKES) if letter.isalpha())
