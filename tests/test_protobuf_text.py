"""The text format of protocol buffers, without the messages' definitions."""

from __future__ import annotations

import pytest

from keras_retinanet.protobuf_text import Name, ProtobufTextError, read_protobuf_text


def test_fields_messages_and_lists():
    text = """
    # a comment
    model { ssd: < num_classes: 5, type: 'a' ratios: [1.0, 2, .5] ratios: 3e-1f > }
    model { score_converter: SIGMOID; use_depthwise: true  weight: -0x1F limit: -inf tags: [] }
    """
    first, second = read_protobuf_text(text)["model"]
    assert first == {"ssd": [{"num_classes": [5], "type": ["a"], "ratios": [1.0, 2, 0.5, 0.3]}]}
    assert second == {
        "score_converter": ["SIGMOID"], "use_depthwise": [True], "weight": [-31], "limit": [float("-inf")], "tags": [],
    }  # fmt: skip
    assert isinstance(second["score_converter"][0], Name)
    assert not isinstance(first["ssd"][0]["type"][0], Name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'name: "a\"b\n"', 'a"b\n'),
        (r'name: "c\303\244t"', "cät"),
        (r'name: "\x41\101"', "AA"),
        ("name: 'one ' \n \"two\"", "one two"),
        ("name: 'é'", "é"),
    ],
)
def test_texts(text, value):
    assert read_protobuf_text(text) == {"name": [value]}


def test_extensions_are_fields():
    assert read_protobuf_text("[object_detection.protos.x] { y: 1 } z: [1]") == {
        "[object_detection.protos.x]": [{"y": [1]}], "z": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n}", "line 2: '}'"),
        ("a {\n b: 1", "before a '}'"),
        ("a:", "in the middle of a field"),
        ("a: [1, 2", "in the middle of a field"),
        ("a: 1\nb: ?", r"line 2: '\?'"),
        ("a: :", "line 1: ':'"),
        ("5", "line 1: '5'"),
        ("a {" * 200, "nested too deeply"),
    ],
)
def test_what_is_not_this_format(text, said):
    with pytest.raises(ProtobufTextError, match=said):
        read_protobuf_text(text)
