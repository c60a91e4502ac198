"""The archive's file format: what is packed comes out, and nothing that is not as the manifest says."""

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from wordlength.errors import ArchiveError
from wordlength.search.disk.archive_file import FORMAT, MANIFEST, VERSION, pack, unpack

CONTENT = {"study/study.yaml": b"name: x\n", "trials.json": b"{}\n", "mlflow/artifacts/000000/page.html": b"<p>\n" * 9}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    for name, content in CONTENT.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    pack(tmp_path / "x.tar.gz", {"study": "x"}, {name: source / name for name in CONTENT})
    return tmp_path / "x.tar.gz"


def write(file: Path, members: list[tuple[tarfile.TarInfo, bytes]], named: dict[str, bytes], **head: object) -> None:
    """An archive of these members whose manifest names those files."""
    known = {name: {"bytes": len(text), "sha256": sha256(text).hexdigest()} for name, text in named.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION, "study": "x", "members": known} | head).encode()
    with tarfile.open(file, "w:gz") as tar:
        for member, content in [(tarfile.TarInfo(MANIFEST), text), *members]:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def plain(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def link(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member, b""


def test_what_is_packed_comes_out(packed: Path, tmp_path: Path) -> None:
    manifest = unpack(packed, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in CONTENT} == CONTENT
    assert manifest.about == {"study": "x"}
    assert manifest.size_bytes == sum(map(len, CONTENT.values()))
    with tarfile.open(packed) as tar:
        assert tar.getnames() == [MANIFEST, *sorted(CONTENT)]
        assert {member.mtime for member in tar.getmembers()} == {0}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([plain("../x")], r"must lie within it, but got '\.\./x'"),
        ([plain("a/../../x")], "must lie within it, but got 'a/"),
        ([plain("/tmp/x")], "must lie within it, but got '/tmp/x'"),
        ([plain("./x")], "must lie within it, but got './x'"),
        ([link("x", tarfile.SYMTYPE)], "must be plain files, but 'x' is none"),
        ([link("x", tarfile.LNKTYPE)], "must be plain files, but 'x' is none"),
        ([link("x", tarfile.FIFOTYPE)], "must be plain files, but 'x' is none"),
        ([plain("x"), plain("x")], "'x' comes twice"),
        ([plain("x"), plain("y")], "'y' is not in it"),
        ([plain("x", b"xx")], "x has 2 bytes"),
        ([plain("x", b"y")], "SHA-256 of its manifest, but x has another"),
        ([], "but x is missing"),
    ],
)
def test_members_that_are_not_as_the_manifest_says(tmp_path: Path, members, message: str) -> None:
    named = {member.name: b"x" for member, _ in members if member.name not in ("x", "y")} | {"x": b"x"}
    write(tmp_path / "bad.tar.gz", members, named)
    with pytest.raises(ArchiveError, match=message):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "deep" / "out")
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "deep" / "x").exists()


def test_a_newer_version_and_other_files_are_refused(tmp_path: Path) -> None:
    newer, other, text = (tmp_path / name for name in ("newer.tar.gz", "other.tar.gz", "text.tar.gz"))
    write(newer, [plain("x")], {"x": b"x"}, version=VERSION + 1, wordlength="9.0")
    with pytest.raises(ArchiveError, match=r"version must be 1, but .* has 2; restore it with wordlength 9.0 or newer"):
        unpack(newer, tmp_path / "out")
    write(newer, [plain("x")], {"x": b"x"}, version=[9] * 100, wordlength="9.0\nerror: run this")
    with pytest.raises(ArchiveError, match=r"has \[9, 9, .*\.\.\.; restore it with .* of that time or newer$"):
        unpack(newer, tmp_path / "out")
    with tarfile.open(other, "w:gz") as tar:
        tar.addfile(plain("readme", b"")[0])
    with pytest.raises(ArchiveError, match=r"first member must be manifest.json"):
        unpack(other, tmp_path / "out")
    with tarfile.open(other, "w:gz") as tar:
        nested, content = plain(MANIFEST, b"[" * 100_000)
        nested.size = len(content)
        tar.addfile(nested, io.BytesIO(content))
    with pytest.raises(ArchiveError, match=r"manifest must be readable, but .*RecursionError"):
        unpack(other, tmp_path / "out")
    text.write_text("no archive")
    with pytest.raises(ArchiveError, match="must be a whole gzipped tar file"):
        unpack(text, tmp_path / "out")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95, 0.999])
def test_a_part_of_an_archive_is_refused(packed: Path, tmp_path: Path, share: float) -> None:
    content = packed.read_bytes()
    packed.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArchiveError, match="must be a whole gzipped tar file"):
        unpack(packed, tmp_path / "out")


def test_a_disk_that_takes_no_more_leaves_the_old_file(packed: Path, tmp_path: Path) -> None:
    before = packed.read_bytes()
    with pytest.raises(FileNotFoundError):
        pack(packed, {}, {"gone": tmp_path / "gone"})
    assert packed.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
