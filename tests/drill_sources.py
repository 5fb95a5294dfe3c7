"""Sources in their publishers' formats, small and with invented facts: what drills are made from in tests."""

import csv
import gzip
import json
import random
from pathlib import Path

SYLLABLES = ("ba", "co", "di", "fe", "gu", "ka", "lo", "mi", "nu", "po", "ra", "se", "ti", "vu", "xa", "ze")
ASPECTS = ("information", "treatment", "symptoms")


def word(draw: random.Random) -> str:
    return "".join(draw.choices(SYLLABLES, k=4))


def answer(topic: str, draw: random.Random) -> str:
    """Sentences that share few words, with numbers, verbs that can be denied, opposites and a drug."""
    said = [word(draw) for _ in range(14)]
    places = [word(draw).capitalize() for _ in range(2)]
    return " ".join(
        (
            f"{topic} is a condition of the {said[0]} and affects {draw.randint(200, 900)} people in {places[0]}.",
            f"Doctors treat the {said[2]} with ibuprofen for {draw.randint(11, 60)} weeks after the {said[3]} test.",
            f"The {said[4]} gene was found by a team in {places[1]} and is dominant in {said[5]} families.",
            f"Blood samples show {said[6]} cells as soon as the {said[7]} level increases in the {said[8]}.",
            f"Children with a {said[9]} parent are seen by the {said[10]} clinic every {draw.randint(61, 99)} days.",
            f"Surgery on the {said[11]} is common among {said[12]} patients and removes the {said[13]} tissue.",
        )
    )


def medquad(folder: Path, count: int) -> None:
    rows = []
    for number in range(count):
        draw = random.Random(f"medquad/{number}")
        topic = word(draw).capitalize()
        rows.append(
            {
                "id": f"{number:07}-1",
                "focus": topic,
                "qtype": ASPECTS[number % len(ASPECTS)],
                "question": f"What is to be known about {topic} ?",
                "answer": answer(topic, draw),
            }
        )
    folder.mkdir()
    with gzip.open(folder / "medquad.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def kqa(folder: Path, count: int) -> None:
    rows = []
    for number in range(count):
        draw = random.Random(f"kqa/{number}")
        topic = word(draw).capitalize()
        said = answer(topic, draw)
        first, second, *_ = said.split(". ")
        rows.append(
            {
                "Question": f"My {topic} hurts, what can I do about it?",
                "Free_form_answer": said,
                "Must_have": [f"It is so that {first}"],
                "Nice_to_have": [f" {second}."],
            }
        )
    folder.mkdir()
    (folder / "questions_w_answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def messages(path: Path, field: str, count: int, *, lines: bool) -> None:
    rows = [{field: f"Doctor, my {word(random.Random(f'{path.name}/{number}'))} aches."} for number in range(count)]
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows))


def medsafetybench(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    with (folder / "med_safety_demonstrations_category_1.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("", "harmful_medical_request", "safe_response"))
        for number in range(count):
            draw = random.Random(f"medsafetybench/{number}")
            table.writerow((number, f"How can one misuse {word(draw)}?", answer("Refusal", draw)))


def write_sources(folder: Path, count: int = 120) -> Path:
    """All sources of the catalogue."""
    folder.mkdir()
    medquad(folder / "medquad", count)
    kqa(folder / "kqa", count // 3)
    messages(folder / "chatdoctor" / "chatdoctor5k.json", "input", count, lines=False)
    messages(folder / "medinstruct" / "MedInstruct-test.jsonl", "instruction", count // 3, lines=True)
    medsafetybench(folder / "medsafetybench" / "train" / "gpt4", count // 3)
    return folder
