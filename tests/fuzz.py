"""Generated definitions and what must be true for them; `python -m tests.fuzz --examples 10000` checks many.

For each: a valid definition has no problem and every state matches its view; each changed state is found; each mistake
is found, with its code and its place.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Optional

from kvmnet import pipeline, resources
from kvmnet.core.base import problem
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.schema import resolve
from kvmnet.core.rendering.bundle import Bundle
from tests.generate import cluster
from tests.mutate import MUTATORS, written
from tests.reading import differences

SCHEMA = resources.read_schema("cluster")


def keys_in(data: Any, schema: dict[str, Any], name: str = "cluster") -> Iterator[str]:
    """Return every key of the schema that a definition uses, as "part key"."""
    while "$ref" in schema:
        name, schema = schema["$ref"].rsplit("/", 1)[1], resolve(schema["$ref"], SCHEMA)
    if isinstance(data, list):
        for item in data:
            yield from keys_in(item, schema["items"], name)
    elif isinstance(data, dict):
        for key, value in data.items():
            known = schema.get("properties", {}).get(key)
            if known is not None:
                yield f"{name} {key}"
                yield from keys_in(value, known, f"{name} {key}")
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from keys_in(value, schema["additionalProperties"], name)


def all_keys(schema: dict[str, Any] = SCHEMA, name: str = "cluster") -> set[str]:
    """Return every key of the schema, with the same names."""
    found: set[str] = set()
    waiting = [(name, schema)]
    while waiting:
        name, schema = waiting.pop()
        while "$ref" in schema:
            name, schema = schema["$ref"].rsplit("/", 1)[1], resolve(schema["$ref"], SCHEMA)
        for key, part in schema.get("properties", {}).items():
            if f"{name} {key}" not in found and "x-refusal" not in part:
                found.add(f"{name} {key}")
                waiting.append((f"{name} {key}", part))
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                waiting.append((name, schema[word]))
    return found


def load(data: Any) -> pipeline.Definition:
    return pipeline.check([Source("f.yaml", written(data)[0])])


def right(data: Any, rng: Random) -> list[str]:
    """Return what is wrong about a valid definition: problems, states that do not match their views, changes that
    are not found."""
    definition = load(data)
    wrong = [problem.as_text(definition.problems, definition.sources)] if definition.problems else []
    for host in definition.hosts:
        view, bundle = definition.views[host], definition.bundle(host)
        wrong += [f"{host}: {words}" for words in differences(view, bundle)]
        changed, what = changed_state(bundle, rng)
        if changed is not None and not differences(view, changed):
            wrong.append(f"{host}: nobody sees that {what}")
    return wrong


def changed_state(bundle: Bundle, rng: Random) -> tuple[Optional[Bundle], str]:
    """Return the bundle with one value in one of its states changed, and the path of that value."""
    mutant = copy.deepcopy(bundle)
    states = [state for state in (mutant.state, mutant.guests) if state and state.get("interfaces")]
    if not states:
        return None, ""
    holders = [(holder, key) for state in states for holder, key in _inside(state)]
    holder, key = rng.choice(holders)
    old = copy.deepcopy(holder[key])
    if isinstance(holder[key], bool):
        holder[key] = not holder[key]
    elif isinstance(holder[key], int):
        holder[key] += 1
    elif isinstance(holder[key], str):
        holder[key] += "x"
    elif isinstance(holder, list) and rng.random() < 0.5:
        holder.append(copy.deepcopy(holder[key]))
        return mutant, f"{old} is there twice"
    else:
        del holder[key]
    return mutant, f"{key} was {old}"


def _inside(part: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the path of everything in a state that can be changed, without empty lists and mappings."""
    for key, value in list(part.items() if isinstance(part, dict) else enumerate(part)):
        if value not in ({}, []):
            yield part, key
        if isinstance(value, (dict, list)):
            yield from _inside(value)


def mistaken(data: Any, number: int, rng: Random) -> Optional[str]:
    """Return what is wrong about the problem that one mistake causes; None if nothing is, or if the definition has
    no place for the mistake."""
    code, mutator = MUTATORS[number % len(MUTATORS)]
    data = copy.deepcopy(data)
    path = mutator(rng, data)
    if path is None:
        return None
    text, places = written(data)
    definition = pipeline.check([Source("f.yaml", text)])
    for host in definition.hosts:
        definition.bundle(host)  # looking at a wrong one must not fail
    if any(p.code == code and p.mark == places[path] for p in definition.problems):
        return None
    found = problem.as_text(definition.problems, definition.sources)
    return f"{mutator.__name__}: {code} not found at {path} ({places[path]}), but:\n{found}"


def run(examples: int, seed: int = 0) -> tuple[list[str], Counter[str], Counter[str]]:
    """Check this many definitions. Return the failures, how many used each key, and how often each mistake was made."""
    wrong: list[str] = []
    used: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for number in range(seed, seed + examples):
        rng = random.Random(number)
        data = cluster(rng)
        used.update(set(keys_in(data, SCHEMA)))
        found = right(data, rng)
        told = mistaken(data, number, rng)
        wrong += [f"example {number}: {words}" for words in [*found, *([told] if told else [])]]
        made[MUTATORS[number % len(MUTATORS)][0]] += 1
    return wrong, used, made


def rare(used: Counter[str], examples: int) -> list[str]:
    """Return the keys that fewer than 5 percent of the definitions have."""
    return sorted(f"{key}: {used[key]}" for key in all_keys() if used[key] * 20 < examples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first example")
    options = parser.parse_args()
    begin = time.monotonic()
    wrong, used, made = run(options.examples, options.seed)
    for words in wrong[:20]:
        print(words)
    few = rare(used, options.examples) if options.examples >= 300 else []  # of fewer it is chance
    if few:
        print("keys in fewer than 5 percent:", *few, sep="\n  ")
    seconds = time.monotonic() - begin
    print(f"{options.examples} definitions, {len(made)} kinds of mistakes, {len(wrong)} wrong, {seconds:.0f} s")
    sys.exit(bool(wrong or few))


if __name__ == "__main__":
    main()
