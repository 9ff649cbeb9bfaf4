"""The documents that ENTSO-E's Transparency Platform answers with: time series in XML, or word that there are none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError
from zipfile import BadZipFile, ZipFile

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from flexmodel.time import Instants, TimeError, parse_fixed_duration, steps

from ingest.connectors.fetched import NotFetched
from ingest.data.rules import Values

VARIABLE_BLOCKS = "A03"
"""The type of curve in which a point holds until the next; in others a point that is not there is not known."""
NOTHING_THERE = "no matching data found"
"""How a refusal begins that only says there is nothing; its code, 999, is that of all refusals."""
MOST_POINTS = 500_000
MOST_PERIODS = 5_000
"""A month of days in several auctions is a few hundred."""
UNITS = {"MAW": "MW", "MWH": "MWh", "KWT": "kW", "KWH": "kWh"}
ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Part:
    """One period of one series."""

    starts: Instants
    values: Values
    resolution: timedelta
    unit: str
    created: datetime
    """When the document was made."""
    sequence: int | None
    """Which of several auctions of the day it is from."""
    agreement: str | None
    """For how long one trades there: `A01` a day."""
    is_generation: bool
    """Whether it is about what goes into a zone, rather than about what goes out."""


def read(body: bytes, largest: int) -> list[Part]:
    """All periods of all series in an answer, which may be several documents in a ZIP file."""
    documents = unpacked(body, largest) if body.startswith(ZIP) else [body]
    return [part for document in documents for part in read_document(document)]


def reason(body: bytes) -> str | None:
    """Why a request is refused, in the words of the platform."""
    try:
        root = parse(body)
    except NotFetched:
        return None
    return text(root, "Reason/text")


def is_nothing(body: bytes) -> bool:
    """Whether a refusal only says that there is nothing."""
    return (reason(body) or "").lower().startswith(NOTHING_THERE)


def unpacked(body: bytes, largest: int) -> list[bytes]:
    found: list[bytes] = []
    left = largest
    try:
        with ZipFile(BytesIO(body)) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    found.append(file.read(left + 1))
                left -= len(found[-1])
                if left < 0:
                    raise NotFetched(f"The ZIP file that came holds more than {largest / 1_000_000:g} MB.")
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise NotFetched("The ZIP file that came cannot be read.") from error
    return found


def parse(body: bytes) -> Element:
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise NotFetched("What came is not the XML that was expected.") from error
    return root


def read_document(body: bytes) -> Iterator[Part]:
    root = parse(body)
    if local_name(root) == "Acknowledgement_MarketDocument":
        if not is_nothing(body):
            raise NotFetched(f'ENTSO-E refuses: "{(text(root, "Reason/text") or "no reason given")[:200]}"')
        return
    created = moment(root, "createdDateTime")
    count = periods = 0
    for series in root.iterfind("{*}TimeSeries"):
        for period in series.iterfind("{*}Period"):
            part = read_period(series, period, created)
            count, periods = count + len(part.values), periods + 1
            if count > MOST_POINTS or periods > MOST_PERIODS:
                raise NotFetched(f"What came has more than {MOST_POINTS} values or {MOST_PERIODS} periods.")
            yield part


def read_period(series: Element, period: Element, created: datetime) -> Part:
    start, end = (moment(period, f"timeInterval/{name}") for name in ("start", "end"))
    try:
        resolution = parse_fixed_duration(text(period, "resolution") or "")
    except TimeError as error:
        raise NotFetched("A period that came says no resolution.") from error
    if resolution <= timedelta(0) or end <= start or (end - start) % resolution:
        raise NotFetched(f"A period that came, of {end - start}, cannot be cut into parts of {resolution}.")
    count = (end - start) // resolution
    if count > MOST_POINTS:
        raise NotFetched(f"A period that came has more than {MOST_POINTS} values.")
    values = read_points(period, count, holds=text(series, "curveType") == VARIABLE_BLOCKS)
    sequence = text(series, "classificationSequence_AttributeInstanceComponent.position")
    return Part(
        starts=steps(start, resolution, count),
        values=values,
        resolution=resolution,
        unit=unit_of(series),
        created=created,
        sequence=int(sequence) if sequence and sequence.isdecimal() else None,
        agreement=text(series, "contract_MarketAgreement.type"),
        is_generation=series.find("{*}inBiddingZone_Domain.mRID") is not None,
    )


def read_points(period: Element, count: int, *, holds: bool) -> Values:
    """The values by position. A value holds until the next one that is given, or the gaps are gaps."""
    values = np.full(count, np.nan)
    for point in period.iterfind("{*}Point"):
        position, value = text(point, "position"), text(point, "price.amount") or text(point, "quantity")
        try:
            place, number = int(position or ""), float(value or "")
        except ValueError as error:
            raise NotFetched("A point that came has no position or no value.") from error
        if not 1 <= place <= count:
            raise NotFetched(f"A point that came is at position {place} of {count}.")
        values[place - 1] = number
    if holds:
        given = np.where(np.isnan(values), 0, np.arange(count))
        values = values[np.maximum.accumulate(given)]
    return values


def unit_of(series: Element) -> str:
    """Money per energy, or a quantity, as the series says."""
    currency = text(series, "currency_Unit.name")
    code = text(series, "price_Measure_Unit.name" if currency else "quantity_Measure_Unit.name") or ""
    if code not in UNITS:
        raise NotFetched(f"What came is in the unit '{code[:20]}', which is not known.")
    return f"{currency}/{UNITS[code]}" if currency else UNITS[code]


def local_name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def text(element: Element, path: str) -> str | None:
    """The text below an element, in whatever namespace the platform uses this year."""
    found = element.findtext("/".join(f"{{*}}{name}" for name in path.split("/")))
    return found.strip() if found and found.strip() else None


def moment(element: Element, path: str) -> datetime:
    try:
        found = datetime.fromisoformat(text(element, path) or "")
    except ValueError as error:
        raise NotFetched(f"What came says no {path.rpartition('/')[2]}.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
