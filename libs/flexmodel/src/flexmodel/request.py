"""The envelope of a trigger message: which keys it has, its times, and which entries its flex-model lists."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flexmodel.errors import Envelope, Invalid
from flexmodel.reading import MOST_TOLD, REQUIRED, WHOLE, Refused, at, moment, unknown, whole_number
from flexmodel.time import Duration, TimeError, parse_duration, parse_fixed_duration
from flexmodel.tree import AssetTree

COMMON = ("start", "duration", "resolution", "prior", "flex-model", "flex-context", "force-new-job-creation")
LONGEST = timedelta(days=366)
YEARS = range(1900, 2200)
"""In which windows begin. Around them is room for what is looked up before them, and for the furthest horizon."""
LOCATED = (
    *("sensor", "asset", "consumption", "production", "state-of-charge"),
    *("inflexible-consumption", "inflexible-production"),
)
"""Keys that tell what an entry is about."""

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A trigger message whose envelope is in order."""

    sensor_id: int | None
    """The sensor in the path; None: the path names an asset."""

    start: datetime
    offset: timedelta
    """Of the start from UTC, as sent."""
    end: datetime
    resolution: timedelta | None
    prior: datetime | None
    sequential: bool
    flex_model: tuple[Config, ...]
    flex_context: Config | tuple[Config, ...]

    @property
    def where(self) -> Envelope:
        """How problems of the envelope are wrapped."""
        return "message" if self.sensor_id is None else "json"


def read_request(message: Any, tree: AssetTree, sensor_id: int | None, planning_horizon: timedelta) -> Request:
    """The message, checked. `sensor_id` is the sensor in the path; without it the path names an asset."""
    where: Envelope = "message" if sensor_id is None else "json"
    if not isinstance(message, Mapping):
        raise Invalid({WHOLE: ["Invalid input type."]}, where=where)
    allowed = COMMON if sensor_id is not None else (*COMMON, "sequential")
    problems = unknown(message, allowed)
    times: dict[str, Any] = {}
    for key, read in (("start", _start), ("duration", _duration), ("resolution", _resolution), ("prior", _prior)):
        try:
            times[key] = read(message)
        except Refused as refused:
            problems[key] = refused.problem
    for key in ("sequential", "force-new-job-creation"):
        if not isinstance(message.get(key, False), bool):
            problems[key] = ["Not a valid boolean."]
    entries: tuple[Config, ...] = ()
    try:
        entries = _entries(message, tree, sensor_id)
    except Refused as refused:
        problems["flex-model"] = refused.problem
    context = message.get("flex-context", {})
    if not isinstance(context, Mapping) and not (
        isinstance(context, list) and all(isinstance(c, Mapping) for c in context)
    ):
        problems["flex-context"] = ["Not a valid mapping type."]
    if not problems:
        problems = _length_problems(times["start"], times["duration"] or Duration(rest=planning_horizon))
    if problems:
        raise Invalid(problems, where=where)
    _check_places(entries, tree, where)
    duration = times["duration"] or Duration(rest=planning_horizon)
    return Request(
        sensor_id=sensor_id,
        start=times["start"].astimezone(UTC),
        offset=times["start"].utcoffset(),
        end=duration.after(times["start"]).astimezone(UTC),
        resolution=times["resolution"],
        prior=times["prior"],
        sequential=message.get("sequential", False),
        flex_model=entries,
        flex_context=context if isinstance(context, Mapping) else tuple(context),
    )


def _start(message: Config) -> datetime:
    if "start" not in message:
        raise Refused(REQUIRED)
    return moment(message["start"])


def _duration(message: Config) -> Duration | None:
    """How long the window is. Days, months and years count by the clock of the start's offset from UTC."""
    try:
        return parse_duration(message["duration"]) if "duration" in message else None
    except TimeError as error:
        raise Refused(str(error)) from None


def _resolution(message: Config) -> timedelta | None:
    if "resolution" not in message:
        return None
    try:
        resolution = parse_fixed_duration(message["resolution"])
    except TimeError as error:
        raise Refused(str(error)) from None
    if resolution <= timedelta(0):
        raise Refused("Must be greater than zero.")
    return resolution


def _prior(message: Config) -> datetime | None:
    return moment(message["prior"]) if "prior" in message else None


def _length_problems(start: datetime, duration: Duration) -> dict[str, Any]:
    if start.year not in YEARS:
        return {"start": [f"Must be in the years {YEARS.start} to {YEARS.stop - 1}."]}
    try:
        length = duration.from_start(start)
    except (OverflowError, ValueError):
        length = LONGEST * 2
    if length <= timedelta(0):
        return {"duration": ["Must be greater than zero."]}
    if length > LONGEST:
        return {"duration": ["Must not be longer than a year."]}
    return {}


def _entries(message: Config, tree: AssetTree, sensor_id: int | None) -> tuple[Config, ...]:
    """The entries of the flex-model. One alone may stand without a list."""
    given = message.get("flex-model", {} if sensor_id is not None else [])
    if sensor_id is not None:
        if not isinstance(given, Mapping):
            raise Refused("Not a valid mapping type.")
        return ({**given, "sensor": sensor_id},)
    entries = [given] if isinstance(given, Mapping) else given
    if not isinstance(entries, list):
        raise Refused("Not a valid list.")
    problems: dict[str, Any] = {}
    for index, entry in enumerate(entries):
        try:
            _check_entry(entry, tree, needs_sensor=message.get("sequential") is True)
        except Refused as refused:
            problem = refused.problem
            problems[str(index)] = problem if isinstance(problem, dict) else {WHOLE: problem}
            if len(problems) == MOST_TOLD:
                break
    if problems:
        raise Refused(problems)
    return tuple(entries)


def _check_entry(entry: Any, tree: AssetTree, *, needs_sensor: bool) -> None:
    if not isinstance(entry, Mapping):
        raise Refused("Invalid input type.")
    if not any(key in entry for key in LOCATED):
        raise Refused("Specify either a sensor or an asset.")
    if "sensor" in entry:
        sensor = at("sensor", lambda: whole_number(entry["sensor"]))
        if sensor not in tree.sensors:
            raise Refused({"sensor": [f"No sensor found with ID {sensor}."]})
    elif needs_sensor:
        raise Refused({"sensor": ["One after the other, every entry needs a sensor."]})
    if "asset" in entry:
        asset = at("asset", lambda: whole_number(entry["asset"]))
        if asset not in tree.assets:
            raise Refused({"asset": [f"No asset found with ID {asset}."]})
        if "sensor" in entry and tree.sensors[entry["sensor"]].asset_id != asset:
            raise Refused({"sensor": [f"Sensor {entry['sensor']} does not belong to asset {asset}."]})


def _check_places(entries: tuple[Config, ...], tree: AssetTree, where: Envelope) -> None:
    """Every entry is about something in the tree, and no two are about the same sensor."""
    problems: list[str] = []
    place = f"asset {tree.asset_id} (or to one of its offspring)"
    sensors = [entry["sensor"] for entry in entries if "sensor" in entry]
    problems += [f"Sensor {sensor} does not belong to {place}" for sensor in sensors if not tree.contains(sensor)]
    problems += [
        f"Asset {entry['asset']} does not belong to {place}"
        for entry in entries
        if "asset" in entry and not any(asset.id == tree.asset_id for asset in tree.lineage(entry["asset"]))
    ]
    twice = sorted(sensor for sensor, count in Counter(sensors).items() if count > 1)
    problems += [f"Sensor {sensor} should not occur more than once in the flex-model" for sensor in twice]
    if problems:
        raise Invalid({WHOLE: problems[:MOST_TOLD]}, where=where)
