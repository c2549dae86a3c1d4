"""JSON files read entry by entry: equal to json.loads, however the blocks fall."""

import json
import random

import pytest

from keras_retinanet.data.datasets.shared import long_json
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.errors import DataError

WORDS = (1, -2.5, 1e10, 12345678, 'a,]}é\\"', "", None, True, "{[", "x" * 20)


def random_value(rng, depth=0):
    kind = rng.random() if depth < 4 else 0
    if kind < 0.4:
        return rng.choice(WORDS)
    if kind < 0.7:
        return [random_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {rng.choice("abcd"): random_value(rng, depth + 1) for _ in range(rng.randint(0, 4))}


def read(file, keep, **options):
    return read_long_json(file, "a JSON file", "export it again", keep, **options)


@pytest.mark.parametrize("size", [3, 7, 64])
def test_any_file_is_read_like_json_loads_does(tmp_path, monkeypatch, size):
    monkeypatch.setattr(long_json, "_BLOCK", size)
    rng, file, broken = random.Random(size), tmp_path / "a.json", 0
    for _ in range(300):
        text = json.dumps(random_value(rng), indent=rng.choice([None, 2]), ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.3:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(["", ",", "}", "]", '"']) + text[at + rng.randint(0, 1) :]
        file.write_text(text, "utf-8")
        keep = rng.choice([{}, {"": list}, {"a": list, "": list}, {"a": list, "b": list}])
        try:
            wanted = json.loads(text)
        except ValueError:
            broken += 1
            with pytest.raises(DataError, match="is not JSON"):
                read(file, keep)
        else:
            assert json.dumps(read(file, keep)) == json.dumps(wanted)
    assert 20 < broken < 200


def test_entries_are_kept_as_the_function_returns_them(tmp_path, monkeypatch):
    monkeypatch.setattr(long_json, "_BATCH", 2)
    file = tmp_path / "a.json"
    file.write_text('\ufeff{"items": [1, 2, 3, 4, 5], "other": [6]}', "utf-8")
    batches = []

    def keep(entries):
        batches.append(list(entries))
        return [-entry for entry in entries]

    assert read(file, {"items": keep}) == {"items": [-1, -2, -3, -4, -5], "other": [6]}
    assert batches == [[1, 2], [3, 4], [5]]


def test_values_of_an_object_are_its_entries(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"a": 1, "b": 2}')
    assert read(file, {"": lambda values: [10 * value for value in values]}) == {"a": 10, "b": 20}


def test_another_encoding_is_read_whole(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('["é", 1]', "utf-16")
    assert read(file, {"": lambda entries: entries[:1]}) == ["é"]


def test_what_is_stripped_never_straddles_two_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(long_json, "_BLOCK", 11)
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"id": number, "drop": [1, 2, 3]} for number in range(30)]))
    found = read(file, {"": list}, strip=lambda part: part.replace(b'"drop": [1, 2, 3]', b'"drop": 0'))
    assert found == [{"id": number, "drop": 0} for number in range(30)]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json"):
        read(tmp_path / "none.json", {"": list})
