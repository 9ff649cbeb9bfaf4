from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.files.column_layout import layout_for_one_sensor
from ingest.files.csv_reader import read_tables
from ingest.files.errors import FileError, RowErrors
from ingest.files.file_formats import FileLimits, open_as_csv

LIMITS = FileLimits(rows=10_000, text_bytes=2**22, workbook_bytes=1_000_000, columns=50)


@dataclass
class BeliefRows:
    frame: pl.DataFrame
    errors: list[str]


def build_rows(content: bytes | str, zone: str = "Europe/Amsterdam", value_name: str = "load") -> BeliefRows:
    file = BytesIO(content.encode() if isinstance(content, str) else content)
    errors = RowErrors()
    detect_layout = lambda names, table: layout_for_one_sensor(names, table, value_name)  # noqa: E731 - shorter than its type
    parts = [parser.parse(table, zone, errors) for parser, table in read_tables(file, LIMITS, detect_layout, errors)]
    return BeliefRows(pl.concat(parts), errors.to_sentences())


def starts(rows: BeliefRows) -> list[datetime]:
    return rows.frame["start"].to_list()


def utc(year: int, month: int, day: int, *time: int) -> datetime:
    hour, minute, second, microsecond = (*time, 0, 0, 0, 0)[:4]
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-24T00:15:00+01:00",
        "2026-11-24T00:15:00.000+0100",
        "2026-11-24 00:15+01",
        "2026-11-23T23:15:00Z",
        "2026-11-23 23:15 UTC",
        "2026-11-24 00:15",
        "2026/11/24 00:15:00",
        "24-11-2026 00:15",
        "24.11.2026 00:15:00",
    ],
)
def test_ways_to_write_a_time(written: str) -> None:
    rows = build_rows(f"event_start,event_value\n{written},1\n")
    assert rows.errors == []
    assert starts(rows) == [utc(2026, 11, 23, 23, 15)]


def test_a_date_is_midnight_in_the_sensors_zone() -> None:
    assert starts(build_rows("date,value\n2026-07-01,1\n")) == [utc(2026, 6, 30, 22)]


@pytest.mark.parametrize(
    "head",
    [
        "event_start,event_value\n",
        "Event Start,Event Value\n",
        "timestamp,load\n",
        "time,LOAD\n",
        "when,how much\n",
        "",
    ],
)
def test_columns_by_name_or_by_order(head: str) -> None:
    rows = build_rows(f"{head}2026-11-24T00:00Z,1.5\n2026-11-24T01:00Z,-2e3\n")
    assert starts(rows) == [utc(2026, 11, 24), utc(2026, 11, 24, 1)]
    assert rows.frame["value"].to_list() == [1.5, -2000.0]
    assert rows.errors == []


def test_named_columns_may_come_in_any_order_with_others_between() -> None:
    rows = build_rows("source,remark,value,belief_time,start\nmeter,ok,7,2026-11-25T00:00Z,2026-11-24T00:00Z\n")
    assert rows.frame.row(0, named=True) == {
        "row": 2,
        "sensor": None,
        "second": None,
        "source": "meter",
        "wall": datetime(2026, 11, 24),  # noqa: DTZ001 - as written
        "start": utc(2026, 11, 24),
        "belief": utc(2026, 11, 25),
        "probability": 0.5,
        "value": 7.0,
    }


def test_three_columns_without_names_are_start_belief_time_and_value() -> None:
    rows = build_rows("2026-11-24T00:00Z,2026-11-23T12:00Z,7\n")
    assert rows.frame["belief"].to_list() == [utc(2026, 11, 23, 12)]
    assert rows.frame["value"].to_list() == [7.0]


def test_columns_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(FileError, match=r"cannot be told apart \(a, b, c\)"):
        build_rows("a,b,c\n2026-11-24T00:00Z,1,2\n")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_decimal_commas(separator: str) -> None:
    text = f"event_start{separator}event_value\n2026-11-24T00:00Z{separator}1,5\n2026-11-24T01:00Z{separator}2\n"
    assert build_rows(text).frame["value"].to_list() == [1.5, 2.0]


def test_points_among_decimal_commas_are_unclear() -> None:
    rows = build_rows("start;value\n2026-11-24T00:00Z;1,5\n2026-11-24T01:00Z;1.234\n2026-11-24T02:00Z;1.234,5\n")
    assert [problem.split(":")[0] for problem in rows.errors] == ["row 3", "row 4"]
    assert "decimal commas" in rows.errors[0]


def test_empty_cells_and_blank_rows_hold_no_value() -> None:
    rows = build_rows("\n\nstart,value\n2026-11-24T00:00Z,\n\n2026-11-24T01:00Z,3\n,\n")
    assert rows.errors == []
    assert rows.frame["row"].to_list() == [6]


def test_every_bad_row_is_named_with_its_reason() -> None:
    rows = build_rows(
        "start,value\n2026-11-24T00:00Z,abc\nnoon,1\n,5\n03/04/2026,1\n2026-11-24T03:00Z,NaN\n2026-11-24,=1+1\n"
    )
    assert [problem.split(":")[0] for problem in rows.errors] == [f"row {n}" for n in range(2, 8)]
    assert "'abc' is not a number" in rows.errors[0]
    assert "'noon' is not a time" in rows.errors[1]
    assert "no time" in rows.errors[2]


def test_many_bad_rows_are_counted() -> None:
    rows = build_rows("start,value\n" + "2026-11-24T00:00Z,x\n" * 100)
    assert len(rows.errors) == 21
    assert rows.errors[-1] == "… and 80 more that cannot be taken."


def test_numbers_beyond_any_measure_are_refused() -> None:
    assert len(build_rows("start,value\n2026-11-24T00:00Z,1e999\n2026-11-24T01:00Z,inf\n").errors) == 2


def test_in_the_night_the_clock_goes_back_an_hour_means_two_moments() -> None:
    rows = build_rows(
        "start,value\n2026-10-25 01:30,1\n2026-10-25 02:00,2\n2026-10-25 02:00+02,3\n2026-10-25 03:00,4\n"
    )
    assert starts(rows) == [utc(2026, 10, 24, 23, 30), *[utc(2026, 10, 25)] * 2, utc(2026, 10, 25, 2)]
    assert rows.frame["second"].to_list() == [None, utc(2026, 10, 25, 1), None, None]


def test_a_belief_time_that_could_be_either_is_refused() -> None:
    rows = build_rows("start,belief_time,value\n2026-10-26T00:00Z,2026-10-25 02:30,1\n")
    assert rows.errors == ["row 2: the clock shows '2026-10-25 02:30' twice that night: write its distance to UTC."]


def test_the_hour_that_the_clock_skips_does_not_exist() -> None:
    rows = build_rows("start,value\n2026-03-29 01:30,1\n2026-03-29 02:30,2\n2026-03-29 03:30,3\n")
    assert rows.errors == [
        "row 3: '2026-03-29 02:30' is not a time in Europe/Amsterdam, such as 2026-03-29T00:15:00+01:00."
    ]


def test_encodings() -> None:
    text = "start;größe\n2026-11-24T00:00Z;1\n"
    assert build_rows(text.encode("utf-8-sig")).frame.height == 1
    assert build_rows(text.encode("utf-16")).frame.height == 1
    with pytest.raises(FileError, match="row 1: this is not UTF-8 text"):
        build_rows(text.encode("latin-1"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"start,value\n", "no rows"),
        (b'start,value\n"2026,1\n', "row 2: a quotation mark"),
        (b"\x89PNG\x00\x1a", "row 1"),
        (b"GIF89a\x00\x00", "neither CSV"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"PAR1 and no more than that", "Parquet"),
        (b"\xd0\xcf\x11\xe0 old", "old Excel"),
    ],
)
def test_files_that_cannot_be_read_say_why(content: bytes, said: str) -> None:
    with pytest.raises(FileError, match=said):
        build_rows(content)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('"2026-11-24T00:00Z",1,"x,y"', "row 4: 3 fields, where the first row has 2"),
        ('"2026-11-24T00:00Z" ,1', "row 4: quotation marks are not as they should be"),
        ('2026-11-24T00:00Z,"1', "row 4: a quotation mark is opened and not closed"),
    ],
)
def test_misquoted_rows_are_named(row: str, said: str) -> None:
    with pytest.raises(FileError, match=said):
        build_rows(f'start,value\n"2026-11-23T00:00Z","1"\n\n{row}\n2026-11-25T00:00Z,1\n')


def test_lines_are_counted_whatever_ends_them_and_also_within_quotes() -> None:
    rows = build_rows(
        'start,remark,value\r\n2026-11-24T00:00Z,"a\r\nb\n",1\r2026-11-24T01:00Z,,2\n2026-11-24T02:00Z,c,x\r\n'
    )
    assert rows.frame["row"].to_list() == [2, 5]
    assert rows.errors == ["row 6: 'x' is not a number, such as 12.5."]


def test_rows_with_too_many_fields_are_named() -> None:
    rows = build_rows("start,value\n2026-11-24T00:00Z,1,2\n2026-11-24T01:00Z,2\n\n2026-11-24T02:00Z,3,,\n")
    assert rows.errors == [
        "row 2: 3 fields, where the first row has 2.",
        "row 5: 4 fields, where the first row has 2.",
    ]
    assert rows.frame["row"].to_list() == [3]


@pytest.mark.parametrize(
    "text",
    [
        "24.11.2026 00:00;1,5\n24.11.2026 00:15;2,5\n",
        "24.11.2026 00:00;1,5\n",
        '"start, local";value\n24.11.2026 00:00;1,5\n24.11.2026 00:15;2,5\n',
        "2026-11-24 00:00:00,000;1,5\n2026-11-24 00:15:00,000;2,5\n",
    ],
)
def test_decimal_commas_are_not_taken_for_what_separates_columns(text: str) -> None:
    rows = build_rows(text)
    assert rows.errors == []
    assert rows.frame["value"].to_list() == [1.5, 2.5][: rows.frame.height]


@pytest.mark.parametrize("time", ["2026-11-24T00:00+99:99", "2026-11-24T00:00+14:30", "0001-01-01", "9999-12-31T23:45"])
def test_times_that_no_clock_shows_are_refused(time: str) -> None:
    [problem] = build_rows(f"start,value\n{time},1\n").errors
    assert problem.startswith(f"row 2: '{time}' is not a time")


def test_thousands_are_told_apart_from_points() -> None:
    assert build_rows("start;value\n2026-11-24T00:00Z;1,5\n2026-11-24T01:00Z;1 234,5\n").errors == [
        "row 3: '1 234,5' is not a number, such as 12,5."
    ]


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(FileError, match="more than 10000 rows"):
        build_rows("start,value\n" + "2026-11-24T00:00Z,1\n" * 10_001)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_it(content: bytes) -> None:
    try:
        build_rows(content)
    except FileError as problem:
        assert str(problem)


# --- Excel


def cell(address: str, value: object) -> str:
    if isinstance(value, str):
        return f'<c r="{address}" t="inlineStr"><is><t>{value}</t></is></c>'
    style = ' s="1"' if address.startswith("A") else ""
    return f'<c r="{address}"{style}><v>{value}</v></c>'


def workbook(rows: list[tuple[object, object]], sheet: str | None = None) -> bytes:
    body = "".join(f'<row r="{n}">{cell(f"A{n}", a)}{cell(f"B{n}", b)}</row>' for n, (a, b) in enumerate(rows, start=1))
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{types}"><Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="rId1" '
        f'Type="{relation}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relation}"><sheets>'
        '<sheet name="meter" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">'
        f'<Relationship Id="rId1" Type="{relation}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{relation}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": sheet or f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_excel_dates_text_and_formulas() -> None:
    midnight = 46350  # 24 November 2026, as Excel counts days
    rows = build_rows(
        workbook(
            [
                ("event_start", "event_value"),
                (midnight, 1.5),
                (midnight + 1 / 96, 0.1),
                ("2026-11-24T00:30:00+01:00", 3),
            ]
        )
    )
    assert rows.errors == []
    assert starts(rows) == [utc(2026, 11, 23, 23, minute) for minute in (0, 15, 30)]
    assert rows.frame["value"].to_list() == [1.5, 0.1, 3.0]
    assert rows.frame["row"].to_list() == [2, 3, 4]


def test_numbers_of_a_workbook_are_those_in_it() -> None:
    """The reader of workbooks writes nine decimals of numbers."""
    numbers = [1 / 7, 1.5e-10, -123456.123456789, 0.30000000000000004, 0, 7, 0.1]
    rows = build_rows(workbook([("start", "value"), *((46350 + n, x) for n, x in enumerate(numbers))]))
    assert rows.errors == []
    assert rows.frame["value"].to_list() == numbers
    named = workbook([("sensor", "value"), ("1.10", 1.25), ("007", 1.1)])
    with open_as_csv(BytesIO(named), LIMITS) as csv:
        assert csv.file.read() == b"sensor,value\n1.10,1.25\n007,1.1\n"


def test_formulas_without_a_saved_value_and_errors_are_named() -> None:
    cells = (
        f'<row r="2">{cell("A2", "start")}{cell("B2", "value")}</row>'
        '<row r="4"><c r="A4" s="1"><v>46350</v></c><c r="B4"><f>1+1</f><v>2</v></c></row>'
        '<row r="5"><c r="A5" s="1"><v>46351</v></c><c r="B5"><f t="shared" si="0"/></c></row>'
        '<row r="6"><c r="A6" s="1"><v>46352</v></c><c r="B6" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
        '<row r="7"><c r="A7" s="1"><v>46353</v></c><c r="B7"><f>1+1</f><v></v></c></row>'
        '<row r="8"><c r="A8" s="1"><v>46354</v></c><c r="B8" t="str"><f>""</f><v></v></c></row>'
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rows = build_rows(workbook([], sheet=f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'))
    assert rows.frame["row"].to_list() == [4]
    assert rows.errors == [
        "row 5: 'a formula whose value was not saved' is not a number, such as 12.5.",
        "row 6: '#DIV/0!' is not a number, such as 12.5.",
        "row 7: 'a formula whose value was not saved' is not a number, such as 12.5.",
    ]


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    bomb = workbook([("event_start", "x" * (3 * 2**20))])
    assert len(bomb) < 2**14
    with pytest.raises(FileError, match="unpacks to more than 1 MB"):
        build_rows(bomb)


@pytest.mark.parametrize(
    "cells",
    [
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="B1048576"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>1</v></c></row>',
        '<row r="1">' + "<c><v>1</v></c>" * 60 + "</row>",
        "<row><c r='A1'><v>1</v></c></row><row><c r = 'A99999'><v>1</v></c></row>",
    ],
)
def test_a_sheet_with_two_distant_cells_takes_no_memory_for_those_between(cells: str) -> None:
    with pytest.raises(FileError, match="The sheet spans"):
        build_rows(workbook([], sheet=f"<worksheet><sheetData>{cells}</sheetData></worksheet>"))


def test_another_zip_file_is_no_workbook() -> None:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FileError, match="not an Excel workbook"):
        build_rows(packed.getvalue())


# --- Parquet


def test_parquet_with_zones_and_numbers() -> None:
    frame = pl.DataFrame(
        {
            "event_start": pl.Series(["2026-11-24 00:00", "2026-11-24 01:00"]).str.to_datetime(
                time_zone="Europe/Amsterdam"
            ),
            "event_value": [0.1, None],
            "tags": [["a"], ["b"]],
        }
    )
    packed = BytesIO()
    frame.write_parquet(packed)
    rows = build_rows(packed.getvalue(), zone="Asia/Seoul")
    assert starts(rows) == [utc(2026, 11, 23, 23)]
    assert rows.frame["value"].to_list() == [0.1]


def test_parquet_whose_times_have_a_distance_to_utc_as_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")
    packed = BytesIO()
    start = pl.Series([datetime(2026, 11, 24, tzinfo=UTC)]).cast(pl.Datetime("ms", "+05:30"))
    pl.DataFrame({"event_start": start, "event_value": [1]}).write_parquet(packed)
    assert starts(build_rows(packed.getvalue())) == [utc(2026, 11, 24)]


def test_what_cannot_be_a_value_in_parquet_is_named() -> None:
    frame = pl.DataFrame({"event_start": ["2026-11-24", "2026-11-25"], "event_value": [[1.5], None]})
    packed = BytesIO()
    frame.write_parquet(packed)
    assert build_rows(packed.getvalue()).errors == ["row 1: 'a List' is not a number, such as 12.5."]


def test_parquet_with_too_many_rows_is_refused_before_they_are_read() -> None:
    packed = BytesIO()
    pl.DataFrame({"start": ["2026-11-24"] * 200_000, "value": [1] * 200_000}).write_parquet(packed)
    assert len(packed.getvalue()) < 50_000
    with pytest.raises(FileError, match="more than 10000 rows"):
        build_rows(packed.getvalue())
