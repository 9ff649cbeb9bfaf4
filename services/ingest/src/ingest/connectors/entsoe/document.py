"""Documents of ENTSO-E's Transparency Platform: time series in XML, or an acknowledgement without data."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError
from zipfile import BadZipFile, ZipFile

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from flexmodel.digits import parse_digits
from flexmodel.time import Instants, TimeError, parse_fixed_duration, steps

from ingest.connectors.fetched_series import FetchError
from ingest.data.resampling import Values

VARIABLE_BLOCKS = "A03"
"""Type of curve in which a point holds until the next. In others, a missing point is unknown."""
NO_DATA = "no matching data found"
"""Beginning of a reason that there are no data. The code of the reason, 999, is that of all errors."""
MAX_POINTS = 500_000
MAX_PERIODS = 5_000
"""A month of days in several auctions has a few hundred."""
UNITS = {"MAW": "MW", "MWH": "MWh", "KWT": "kW", "KWH": "kWh"}
ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class SeriesPeriod:
    """One period of one series."""

    starts: Instants
    values: Values
    resolution: timedelta
    unit: str
    created: datetime
    """Time of creation of the document."""
    sequence: int | None
    """Number of the auction, of several on the day."""
    agreement: str | None
    """Type of market agreement; `A01` is day-ahead."""
    is_generation: bool
    """True for energy into a zone, false for energy out of it."""


def parse_documents(body: bytes, max_bytes: int) -> list[SeriesPeriod]:
    """Parse all periods of all series in a response, which may be a ZIP file of several documents."""
    documents = unzip(body, max_bytes) if body.startswith(ZIP) else [body]
    return [parsed for document in documents for parsed in parse_document(document)]


def parse_reason(body: bytes) -> str | None:
    """Return the platform's reason of an error; None if there is none."""
    try:
        root = parse_xml(body)
    except FetchError:
        return None
    return find_text(root, "Reason/text")


def says_no_data(body: bytes) -> bool:
    """Return whether an error only says that there are no data."""
    return (parse_reason(body) or "").lower().startswith(NO_DATA)


def unzip(body: bytes, max_bytes: int) -> list[bytes]:
    files: list[bytes] = []
    left = max_bytes
    try:
        with ZipFile(BytesIO(body)) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    files.append(file.read(left + 1))
                left -= len(files[-1])
                if left < 0:
                    raise FetchError(f"The ZIP file that came holds more than {max_bytes / 1_000_000:g} MB.")
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise FetchError("The ZIP file that came cannot be read.") from error
    return files


def parse_xml(body: bytes) -> Element:
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise FetchError("What came is not the XML that was expected.") from error
    return root


def parse_document(body: bytes) -> Iterator[SeriesPeriod]:
    root = parse_xml(body)
    if local_name(root) == "Acknowledgement_MarketDocument":
        if not says_no_data(body):
            raise FetchError(f'ENTSO-E refuses: "{(find_text(root, "Reason/text") or "no reason given")[:200]}"')
        return
    created = parse_time(root, "createdDateTime")
    count = periods = 0
    for series in root.iterfind("{*}TimeSeries"):
        for period in series.iterfind("{*}Period"):
            parsed = parse_period(series, period, created)
            count, periods = count + len(parsed.values), periods + 1
            if count > MAX_POINTS or periods > MAX_PERIODS:
                raise FetchError(f"What came has more than {MAX_POINTS} values or {MAX_PERIODS} periods.")
            yield parsed


def parse_period(series: Element, period: Element, created: datetime) -> SeriesPeriod:
    start, end = (parse_time(period, f"timeInterval/{name}") for name in ("start", "end"))
    try:
        resolution = parse_fixed_duration(find_text(period, "resolution") or "")
    except TimeError as error:
        raise FetchError("A period that came says no resolution.") from error
    if resolution <= timedelta(0) or end <= start or (end - start) % resolution:
        raise FetchError(f"A period that came, of {end - start}, cannot be cut into parts of {resolution}.")
    count = (end - start) // resolution
    if count > MAX_POINTS:
        raise FetchError(f"A period that came has more than {MAX_POINTS} values.")
    values = parse_points(period, count, holds=find_text(series, "curveType") == VARIABLE_BLOCKS)
    sequence = find_text(series, "classificationSequence_AttributeInstanceComponent.position")
    return SeriesPeriod(
        starts=steps(start, resolution, count),
        values=values,
        resolution=resolution,
        unit=parse_unit(series),
        created=created,
        sequence=parse_digits(sequence or ""),
        agreement=find_text(series, "contract_MarketAgreement.type"),
        is_generation=series.find("{*}inBiddingZone_Domain.mRID") is not None,
    )


def parse_points(period: Element, count: int, *, holds: bool) -> Values:
    """Parse values by position. Missing ones repeat the value before if `holds` is true, else they are NaN."""
    values = np.full(count, np.nan)
    for point in period.iterfind("{*}Point"):
        position, value = find_text(point, "position"), find_text(point, "price.amount") or find_text(point, "quantity")
        try:
            position_number, number = int(position or ""), float(value or "")
        except ValueError as error:
            raise FetchError("A point that came has no position or no value.") from error
        if not 1 <= position_number <= count:
            raise FetchError(f"A point that came is at position {position_number} of {count}.")
        values[position_number - 1] = number
    if holds:
        indices = np.where(np.isnan(values), 0, np.arange(count))
        values = values[np.maximum.accumulate(indices)]
    return values


def parse_unit(series: Element) -> str:
    """Parse the unit of a series: money per energy, or a quantity."""
    currency = find_text(series, "currency_Unit.name")
    code = find_text(series, "price_Measure_Unit.name" if currency else "quantity_Measure_Unit.name") or ""
    if code not in UNITS:
        raise FetchError(f"What came is in the unit '{code[:20]}', which is not known.")
    return f"{currency}/{UNITS[code]}" if currency else UNITS[code]


def local_name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def find_text(element: Element, path: str) -> str | None:
    """Return the text at a path below an element, in any namespace."""
    files = element.findtext("/".join(f"{{*}}{name}" for name in path.split("/")))
    return files.strip() if files and files.strip() else None


def parse_time(element: Element, path: str) -> datetime:
    try:
        files = datetime.fromisoformat(find_text(element, path) or "")
    except ValueError as error:
        raise FetchError(f"What came says no {path.rpartition('/')[2]}.") from error
    return files if files.tzinfo else files.replace(tzinfo=UTC)
