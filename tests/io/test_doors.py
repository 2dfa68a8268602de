"""Files as other programs write them: each is read, or answered with what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from lossctl.cli.app import main


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Return a function that computes a loss of a file with this content: the value, or the error."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, content: str | bytes, *words: str, loss: str = "mse") -> float | str:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        words = words or ("-p", "p", "-t", "t")
        code = main(["compute", loss, name, *words, "-q"])
        output = capsys.readouterr()
        return float(output.out) if code == 0 else output.err.removeprefix("lossctl: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.txt", '"p" "t"\n"1" 2 1\n"2" 0 3\n'),  # write.table(x)
        ("r.csv", '"p","t"\n"1",2,1\n"2",0,3\n'),  # write.table(x, sep = ",")
        ("numpy.csv", "# p,t\n2,1\n0,3\n"),  # np.savetxt(header=…, delimiter=",")
        ("numpy.txt", "# p t\n2 1\n0 3\n"),
        ("blank.csv", "p,t\n2,1\n0,3\n\n"),
        ("blanks.csv", "p,t\r\n2,1\r\n0,3\r\n \r\n\r\n"),
        ("blank.jsonl", '{"p": 2, "t": 1}\n{"p": 0, "t": 3}\n\n'),
        ("records.json", '[{"p": 2, "t": 1}, {"p": 0, "t": 3}]'),  # DataFrame.to_json(orient="records")
        ("lists.json", '\ufeff{"p": [2, 0], "t": [1, 3]}\n'),  # DataFrame.to_dict("list")
    ],
)
def test_the_same_two_rows(outcome, name: str, content: str) -> None:  # type: ignore[no-untyped-def]
    """Headers of R and NumPy, blank last lines, and JSON documents."""
    assert outcome(name, content) == 5.0


@pytest.mark.parametrize("title", ["# made by x", "% x", "Results", "# a\n# b"])
def test_a_line_before_the_header(outcome, title: str) -> None:  # type: ignore[no-untyped-def]
    message = outcome("t.csv", f"{title}\np,t\n2,1\n0,3\n")
    assert message.startswith("t.csv:1: ")
    assert "is no header of the 2 columns that follow: remove a title or a comment" in message


def test_booleans(outcome) -> None:  # type: ignore[no-untyped-def]
    """Pandas writes True, R TRUE, JavaScript true: 1, and 0 for False."""
    for true, false in (("True", "False"), ("TRUE", "FALSE"), ("true", "false")):
        assert outcome("b.csv", f"p,t\n1,{true}\n1,{false}\n") == 0.5
    assert (
        outcome("b.csv", "p,t\n0.5,True\n0.5,False\n", "-p", "p", "-t", "t", "--labels", "True,False", loss="bce")
        > 0.69
    )


def test_a_blank_line_that_means_something(outcome) -> None:  # type: ignore[no-untyped-def]
    """Within the file a blank line is an error, and with --na-values '' it is a missing number."""
    assert outcome("m.csv", "p,t\n2,1\n\n0,3\n") == "m.csv:3: blank line; every line is one sample: remove it"
    Path("p.csv").write_text("1\n2\n\n")
    assert outcome("t.csv", "1\n2\n3\n", "p.csv", "--na-values", "", "--nan", "skip") in (0.0, 0.5, 2.0)


def test_marks_of_thousands(outcome) -> None:  # type: ignore[no-untyped-def]
    """An option, never a guess; marks at other places are errors."""
    words = ("-p", "p", "-t", "t", "--thousands")
    assert outcome("k.csv", 'p,t\n"1,234.5",1234\n', *words, ",") == 0.25
    assert outcome("k.csv", "p;t\n-1.234,5;-1234\n", *words, ".", "--decimal", ",", "-d", ";") == 0.25
    assert outcome("k.csv", 'p,t\n"12,34",1\n', *words, ",").startswith("k.csv:2: column 'p': not a number: '12,34'")  # type: ignore[union-attr]
    assert outcome("k.csv", 'p,t\n"1,234.5",1\n') == (
        "k.csv:2: column 'p': not a number: '1,234.5'; marks of thousands want --thousands ,"
    )


@pytest.mark.parametrize(
    ("cell", "cure"),
    [
        ("50%", "remove the %, for example with tr -d '%'"),
        ("$50", "remove the $, for example with tr -d '$'"),
        ("-€1.5", "remove the €, for example with tr -d '€'"),
    ],
)
def test_signs(outcome, cell: str, cure: str) -> None:  # type: ignore[no-untyped-def]
    """A percentage is no fraction, and an amount of money has a unit: refused with the cure."""
    assert outcome("s.csv", f"p,t\n{cell},1\n") == f"s.csv:2: column 'p': not a number: '{cell}'; {cure}"


def test_lists_of_json_lines(outcome) -> None:  # type: ignore[no-untyped-def]
    """A list of numbers is a row; a list of another length is an error."""
    words = ("-p", "probs", "-t", "label")
    lines = '{"probs": [0.1, 0.9], "label": 1}\n{"probs": [0.3, 0.7], "label": 0}\n'
    assert outcome("l.jsonl", lines, *words, loss="scce") == pytest.approx(0.6546666599918812)
    document = '[{"probs": [0.1, 0.9], "label": 1}, {"probs": [0.3, 0.7], "label": 0}]'
    assert outcome("l.json", document, *words, loss="scce") == pytest.approx(0.6546666599918812)
    for bad, message in (
        ('{"probs": [0.5], "label": 0}\n', "shape (1,), where the first object has shape (2,)"),
        ('{"probs": [0.5, "x"], "label": 0}\n', "number 1: not a number: 'x'"),
    ):
        assert outcome("l.jsonl", lines + bad, *words, loss="scce") == f"l.jsonl:3: column 'probs': {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "x.json: neither an array of objects nor an object of arrays: [{…}, …] or {…: […], …}"),
        ('{"p": [1], "t": [1, 2]}', 'x.json: arrays of different lengths: "p" has 1, "t" has 2'),
        (
            '{"p": 1, "t": 2}\n{"p": 1, "t": 2}\n',
            "x.json: not JSON: Extra data: line 2 column 1 (char 17); JSON lines have the suffix .jsonl",
        ),
        ('[{"p": 1, "t": "x"}]', "x.json: record 0: column 't': not a number: 'x'"),
        ("", "x.json: not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_documents_that_are_no_table(outcome, content: str, message: str) -> None:  # type: ignore[no-untyped-def]
    """The error says which form is read."""
    assert outcome("x.json", content) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.xlsx", "x.xlsx: spreadsheets are not read: save the sheet as CSV"),
        ("x.pkl", "x.pkl: a pickle runs code, and is not read: np.save('preds.npy', array) in Python"),
        ("x.h5", "x.h5: HDF5 is not read: np.save('preds.npy', file['NAME'][:]) with h5py"),
    ],
)
def test_files_that_are_not_read(outcome, name: str, message: str) -> None:  # type: ignore[no-untyped-def]
    """The answer is what to do, not --input-format, which would not help."""
    assert outcome(name, "") == message


def test_blank_lines_across_pieces() -> None:
    """Blank lines in a later piece of text than the last row are left out, too."""
    from lossctl.io.text_decoding import without_blank_end

    pieces = iter([b"1\n", b"\n", b" \n", b"2\n\n", b"\n\n"])
    assert b"".join(without_blank_end(pieces)) == b"1\n\n \n2\n"


def test_a_zip_archive_of_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kaggle's submission.csv.zip, an archive named after nothing, and one of macOS; several files are refused."""

    def run(name: str, members: dict[str, str], *words: str) -> str:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        main(["compute", "mse", str(tmp_path / name), "-q", *words])
        output = capsys.readouterr()
        return output.out.rstrip("\n") or output.err.replace(f"{tmp_path}/", "").removeprefix("lossctl: ").rstrip("\n")

    table = "p,t\n2,1\n0,3\n"
    chosen = ("-p", "p", "-t", "t")
    assert run("submission.csv.zip", {"submission.csv": table}, *chosen) == "5.0"
    assert run("x.zip", {"a/": "", "a/b.tsv": table.replace(",", "\t"), "__MACOSX/a/._b.tsv": "x"}, *chosen) == "5.0"
    assert run("y.zip", {"data": table}, *chosen, "--input-format", "csv.zip") == "5.0"
    assert run("y.zip", {"data": table}, *chosen).startswith(
        "y.zip: an archive, and the name of its file does not tell"
    )
    several = run("z.zip", {"a.csv": table, "b.csv": table}, *chosen)
    assert several == (
        "z.zip: a zip archive of one file is read, and it has 2 (a.csv, b.csv): unzip -p FILE a.csv | lossctl … -"
    )
    content = (tmp_path / "submission.csv.zip").read_bytes()
    for cut in (b"", content[:40], content.replace(b"PK\x01", b"PK\x09")):
        (tmp_path / "cut.csv.zip").write_bytes(cut)
        assert main(["compute", "mse", str(tmp_path / "cut.csv.zip"), *chosen]) == 2
        assert "cut.csv.zip: damaged, or not zip: " in capsys.readouterr().err
