"""Mutated files through all importers: `python -m tests.fuzz_importers --examples 100000`.

For each: no exception, neither in the importer nor when its definition is checked; a definition or a report; less than
2 s and, for the whole process, less than 200 MB. The files are those of tests/golden/import.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.importers import IMPORTERS

CASES = Path(__file__).parent / "golden" / "import"
EXPECTED = ("cluster.yaml", "report.txt")
#: Limits of one input in seconds, and of the process in MB.
SECONDS, MEGABYTES = 2.0, 200
#: Texts that are special somewhere: in YAML, JSON, shell, tables, keyfiles, or as a number or an address.
SPECIAL = (
    *("\x00", "\ufeff", "\t", "\r", "\x1b[31m", "\\", "'", '"', "{", "[", "]", "}", ":", ": ", "- ", "#", "=", ";"),
    *("null", "true", "~", "-1", "0", "99999999999999999999", "1e9", "::", "::/0", "0.0.0.0/0", "256.1.1.1", "/33"),
    *("ff:ff:ff:ff:ff:ff", "eth0", "None", "----", "--", "é", "💥", "&a", "*a", "<<: *a", "!!python/object:x", "---\n"),
    *("\n", "\n\n", " ", "  " * 40, "[" * 60, "{a: " * 45, "a" * 300),
)
Mutation = Callable[[Random, str], str]


def read_corpus() -> dict[str, list[list[Source]]]:
    """Return the files of every golden case by importer."""
    corpus: dict[str, list[list[Source]]] = {}
    for case in sorted(CASES.glob("*/*")):
        paths = [p for p in sorted(case.iterdir()) if p.name not in EXPECTED]
        sources = [Source(p.name, p.read_bytes().decode("utf-8", "replace")) for p in paths]
        corpus.setdefault(case.parent.name, []).append(sources)
    return corpus


def _cut(rng: Random, text: str) -> str:
    return text[: rng.randint(0, len(text))]


def _drop_lines(rng: Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    begin = rng.randint(0, len(lines))
    return "".join(lines[:begin] + lines[begin + rng.randint(1, 3) :])


def _swap_lines(rng: Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return "".join(lines)


def _repeat_line(rng: Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    number = rng.randrange(len(lines))
    return "".join(lines[:number] + [lines[number]] * rng.choice([2, 3, 50]) + lines[number:])


def _insert(rng: Random, text: str) -> str:
    place = rng.randint(0, len(text))
    return text[:place] + rng.choice(SPECIAL) + text[place:]


def _replace_word(rng: Random, text: str) -> str:
    words = text.split(" ")
    words[rng.randrange(len(words))] = rng.choice([*SPECIAL, rng.choice(words)])
    return " ".join(words)


def _replace_character(rng: Random, text: str) -> str:
    place = rng.randint(0, len(text))
    return text[:place] + chr(rng.choice([rng.randrange(128), rng.randrange(0xD7FF)])) + text[place + 1 :]


def _replace_value(rng: Random, text: str) -> str:
    """Replace what comes after a colon or an equals sign on one line."""
    lines = text.splitlines(keepends=True) or [""]
    number = rng.randrange(len(lines))
    for sign in ("=", ": "):
        key, found, _ = lines[number].partition(sign)
        if found:
            lines[number] = f"{key}{sign}{rng.choice(SPECIAL)}\n"
            break
    return "".join(lines)


MUTATIONS: tuple[Mutation, ...] = (
    *(_cut, _drop_lines, _swap_lines, _repeat_line, _insert, _replace_word, _replace_character, _replace_value),
)


def mutate(rng: Random, sources: list[Source], others: list[Source]) -> list[Source]:
    """Return the files of a case with up to four mutations, perhaps without a file or with one of another case."""
    mutated = list(sources)
    if len(mutated) > 1 and rng.random() < 0.2:
        mutated.pop(rng.randrange(len(mutated)))
    if rng.random() < 0.1:
        mutated.append(rng.choice(others))
    for _ in range(rng.randint(1, 4)):
        number = rng.randrange(len(mutated))
        name, text = mutated[number]
        mutated[number] = Source(name, rng.choice(MUTATIONS)(rng, text))
    return mutated


def inputs(examples: int, seed: int = 0) -> Iterator[tuple[int, str, list[Source]]]:
    """Yield the number, the importer and the files of each example. The same number gives the same files."""
    corpus = read_corpus()
    every_file = [source for cases in corpus.values() for case in cases for source in case]
    names = sorted(corpus)
    for number in range(seed, seed + examples):
        rng = Random(number)
        name = names[number % len(names)]
        yield number, name, mutate(rng, rng.choice(corpus[name]), every_file)


def find_fault(name: str, sources: list[Source]) -> str:
    """Return what is wrong with the import of files, or an empty string."""
    begin = time.process_time()  # other processes do not count
    try:
        result = IMPORTERS.find(name).read(sources)
        if result.definition:
            pipeline.check([Source("the definition", result.definition)])
        elif not result.report:
            return "neither a definition nor a report"
    except Exception:
        return traceback.format_exc()
    seconds = time.process_time() - begin
    return f"{seconds:.1f} s" if seconds > SECONDS else ""


def run(examples: int, seed: int = 0) -> tuple[list[str], Counter[str]]:
    """Import this many mutated inputs. Return the faults, and how many inputs each importer got."""
    faults, counts = [], Counter[str]()
    for number, name, sources in inputs(examples, seed):
        counts[name] += 1
        if fault := find_fault(name, sources):
            faults.append(f"example {number} ({name}): {fault}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [*faults, *([f"{peak} MB of memory"] if peak > MEGABYTES else [])], counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first example")
    options = parser.parse_args()
    begin = time.monotonic()
    faults, counts = run(options.examples, options.seed)
    print(*faults[:20], sep="\n", end="\n" if faults else "")
    shares = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{options.examples} inputs ({shares}), {len(faults)} faults, {time.monotonic() - begin:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
