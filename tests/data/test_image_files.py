from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import find_images, first_missing, near_name_hint, read_sizes


def test_first_missing(tmp_path, write_images):
    write_images(tmp_path / "x")
    there = [str(tmp_path / "x" / name) for name in ("a.jpg", "b.jpg")]
    assert first_missing([]) is None
    assert first_missing(there) is None
    assert first_missing([*there, str(tmp_path / "x" / "no.jpg"), str(tmp_path / "no")]) == 2
    assert first_missing([str(tmp_path / "no folder" / "a.jpg")]) == 0


def test_folders_and_impossible_names_are_missing(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in (f"{tmp_path}/folder", f"{tmp_path}/", f"{tmp_path}/a\0b", f"{tmp_path}/\ud800"):
        assert first_missing([name]) == 0


def test_a_name_that_differs_in_case_accents_or_ending_is_told(tmp_path):
    for name in ("Photos/IMG_1.JPG", "Photos/cafe\u0301.png", "Photos/img_2.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for missing, there in {
        "Photos/img_1.jpg": "Photos/IMG_1.JPG",
        "Photos/IMG_1.png": "Photos/IMG_1.JPG",
        "Photos/caf\u00e9.png": "Photos/cafe\u0301.png",
        "photos/img_2.jpg": "Photos",
        "Notes.txt": "notes.txt",
    }.items():
        assert near_name_hint(tmp_path / missing) == f"there is {str(tmp_path / there)!r}: give both the same name; "
    for missing in ("Photos/img_3.jpg", "notes.csv", "notes.txt", "a\0b", "other/place.jpg"):
        assert near_name_hint(tmp_path / missing) == ""


def test_sizes_are_height_and_width_as_stored(tmp_path, write_images):
    write_images(tmp_path, {"a.jpg": (7, 13), "b.png": (200, 3), "c.bmp": (1, 1), "d.gif": (5, 6)})
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees": not applied
    Image.fromarray(np.zeros((4, 9, 3), np.uint8)).save(tmp_path / "e.jpg", exif=exif)
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.png", "c.bmp", "d.gif", "e.jpg")]
    assert read_sizes(paths) == [(7, 13), (200, 3), (1, 1), (5, 6), (4, 9)]
    assert read_sizes([]) == []


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", b"BM" + bytes(60)])
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / "bad.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png: cannot be read as an image .* fix: "):
        read_sizes([str(file)])


def test_folders_and_patterns_give_images_by_name(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "deep/c.webp", "deep/er/d.bmp", "notes.txt", "empty/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def names(source: str, **settings: bool) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path / source, **settings)]

    assert names(".") == ["a.PNG", "b.jpg"]
    assert names(".", is_recursive=True) == ["a.PNG", "b.jpg", "deep/c.webp", "deep/er/d.bmp"]
    assert names("*.*") == ["a.PNG", "b.jpg"]
    assert names("**/*") == ["a.PNG", "b.jpg", "deep/c.webp", "deep/er/d.bmp"]
    assert names("missing.jpg") == ["missing.jpg"]
    (tmp_path / "x[1].jpg").write_bytes(b"")
    assert names("x[1].jpg") == ["x[1].jpg"], "a file of that name goes before the pattern"


def test_folders_and_patterns_without_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no images \(\.jpg"):
        find_images(tmp_path)
    with pytest.raises(ValueError, match=r"No image \(.*\) matches .*\*\.jpg"):
        find_images(tmp_path / "*.jpg")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="its subfolders have 1: search them, too"):
        find_images(tmp_path)
