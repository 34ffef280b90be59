"""Draws the bundled items of the tasks with pictures: `python scripts/draw_samples.py`. Needs Pillow.

Each picture is drawn here, so that its right answer is known: colours, shapes, counts, words, receipts.
"""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

TASKS = Path(__file__).parents[1] / "tasks"
COLORS = {"red": (220, 30, 30), "green": (30, 150, 50), "blue": (30, 60, 220), "yellow": (240, 210, 30)}
SHAPES = ("square", "circle", "triangle")
WORDS = """
    OPEN EXIT STOP TAXI MILK CAFE BANK PARK SALE TEA SOAP RICE HOTEL BREAD WATER MUSEUM LIBRARY STATION MARKET HARBOUR
    GARDEN PHARMACY BAKERY THEATRE
"""
GOODS = ("Tea", "Bread", "Apples", "Soap", "Paper", "Candles", "Rice", "Honey")


def main() -> None:
    """Write tasks/*/sample.jsonl."""
    chance = random.Random(7)
    _write("mmbench", map(_mmbench, range(24)))
    _write("scienceqa", (_scienceqa(number, chance) for number in range(24)))
    _write("mmmu", (_mmmu(number) for number in range(24)))
    _write("textvqa", (_textvqa(number, word) for number, word in enumerate(WORDS.split())))
    _write("docvqa", (_docvqa(number, chance) for number in range(24)))


def _write(task: str, rows: Iterable[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (TASKS / task / "sample.jsonl").write_text("".join(lines), "utf-8")


def _held(drawn: Image.Image) -> dict[str, Any]:
    """As the Hub has pictures, their bytes in base64."""
    out = io.BytesIO()
    drawn.quantize(16).save(out, "PNG", optimize=True)
    return {"bytes": base64.b64encode(out.getvalue()).decode(), "path": None}


def _shapes(color: str, shape: str, count: int = 1) -> Image.Image:
    """``count`` shapes in a row on white, 64 pixels high."""
    drawn = Image.new("RGB", (64 * count, 64), "white")
    pen = ImageDraw.Draw(drawn)
    for place in range(count):
        left, right = 64 * place + 10, 64 * place + 54
        if shape == "square":
            pen.rectangle((left, 10, right, 54), fill=COLORS[color])
        elif shape == "circle":
            pen.ellipse((left, 10, right, 54), fill=COLORS[color])
        else:
            pen.polygon(((left, 54), (right, 54), ((left + right) // 2, 10)), fill=COLORS[color])
    return drawn


def _text(lines: list[str], size: int = 16) -> Image.Image:
    drawn = Image.new("RGB", (190, 14 + (size + 6) * len(lines)), "white")
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        ImageDraw.Draw(drawn).text((8, 6 + (size + 6) * number), line, fill="black", font=font)
    return drawn


def _mmbench(number: int) -> dict[str, Any]:
    color, shape = list(COLORS)[number % 4], SHAPES[number % 3]
    if number % 2:
        question, options, answer = f"What colour is the {shape}?", list(COLORS), color
    else:
        question, options, answer = "Which shape is drawn?", [*SHAPES], shape
    turned = options[number % len(options) :] + options[: number % len(options)]
    columns = dict(zip("ABCD", [*turned, "nan"], strict=False))
    return {
        "index": number,
        "question": question,
        "hint": "nan",
        "answer": "ABCD"[turned.index(answer)],
        **columns,
        "category": "shape_color" if number % 2 else "shape",
        "image": _held(_shapes(color, shape)),
        "_split": "dev",
    }


def _scienceqa(number: int, chance: random.Random) -> dict[str, Any]:
    pictured = number % 2 == 0
    if pictured:
        place = number // 2
        color, count = list(COLORS)[place % 4], 1 + (place + place // 4) % 4
        question, options, answer = f"How many {color} magnets are shown?", ["1", "2", "3", "4"], str(count)
        image: Any = _held(_shapes(color, "square", count))
        hint = "The picture shows magnets in a row."
    else:
        a, b = chance.randint(2, 9), chance.randint(2, 9)
        total = str(a + b)
        question = f"A plant grows {a} cm in one week and {b} cm in the next. How many centimetres is that together?"
        options = sorted({total, str(a + b + 1), str(a + b - 1)}, key=int)
        answer, image, hint = total, None, ""
    return {
        "image": image,
        "question": question,
        "choices": options,
        "answer": options.index(answer),
        "hint": hint,
        "task": "closed choice",
        "grade": f"grade{2 + number % 4}",
        "subject": "natural science",
        "topic": "physics" if pictured else "biology",
        "_split": "train" if number < 4 else "test",
    }


def _mmmu(number: int) -> dict[str, Any]:
    """Two pictures a question, which its options name."""
    subject = ("Math", "Art")[number % 2]
    colors = list(COLORS)
    first, second = colors[number % 4], colors[(number + 1) % 4]
    shape = SHAPES[number % 3]
    if subject == "Math":
        few, many = 1 + number % 2, 3
        asked = "Which of the two pictures shows more shapes?"
        shown, right = (_shapes(first, shape, few), _shapes(first, shape, many)), "B"
    else:
        asked = f"Which of the two pictures is painted in {first}?"
        shown, right = (_shapes(first, shape), _shapes(second, shape)), "A"
    if number % 3 == 0:
        shown, right = (shown[1], shown[0]), "AB"["BA".index(right)]
    return {
        "id": f"drawn_{subject}_{number}",
        "subject": subject,
        "question": asked,
        "options": "['<image 1>', '<image 2>', 'both alike']",
        "explanation": "",
        **{f"image_{place}": _held(one) for place, one in enumerate(shown, 1)},
        **{f"image_{place}": None for place in range(3, 8)},
        "answer": right,
        "question_type": "multiple-choice",
        "subfield": "Drawing",
        "_split": "dev" if number < 4 else "validation",
    }


def _textvqa(number: int, word: str) -> dict[str, Any]:
    said = word.lower()
    return {
        "question_id": number,
        "question": "What does the sign say?",
        "image": _held(_text([word], 28)),
        # Seven people read the word, two write a point, one reads something else.
        "answers": [said] * 7 + [f"{said}."] * 2 + ["unanswerable"],
        "_split": "train" if number < 4 else "validation",
    }


def _docvqa(number: int, chance: random.Random) -> dict[str, Any]:
    bought = chance.sample(GOODS, 3)
    prices = [f"{chance.randint(1, 9)}.{chance.randint(10, 99)}" for _ in bought]
    slip = 1000 + 37 * number
    lines = [f"Receipt No. {slip}", *(f"{name}  {price}" for name, price in zip(bought, prices, strict=True))]
    question, answer = (
        (f"What is the price of {bought[1]}?", prices[1])
        if number % 2
        else ("What is the number of the receipt?", str(slip))
    )
    return {
        "questionId": str(number),
        "question": question,
        "image": _held(_text(lines)),
        "answers": [answer, f"No. {answer}"] if number % 2 == 0 else [answer],
        "_split": "validation",
    }


if __name__ == "__main__":
    main()
