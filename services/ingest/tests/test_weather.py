"""Series of weather and CO2 services, and their errors."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from ingest.connectors.carbon_intensity import CarbonIntensity, CarbonIntensitySettings
from ingest.connectors.connector_kind import ConnectorSettings, FetchRequest, Location, PollingKind
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.http_client import HttpClient, ResponseLimits
from ingest.connectors.open_meteo import OpenMeteo, OpenMeteoSettings
from ingest.connectors.open_weather_map import OpenWeatherMap, OpenWeatherMapSettings
from ingest.data.repository import Sensor
from pydantic import ValidationError

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 29, 10, 7, tzinfo=UTC)
TEN = datetime(2026, 3, 29, 10, tzinfo=UTC)
AMSTERDAM = Location(52.37, 4.9)
KEY = "a1b2c3d4e5f6"


class Server:
    """Server that sends given responses and records the requests."""

    def __init__(self, *answers: object, status: int = 200) -> None:
        self.answers = list(answers)
        self.status = status
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return httpx.Response(self.status, content=content)


def asking(
    server: Callable[[httpx.Request], httpx.Response],
    *series: str,
    hours: float = 3,
    start: datetime = TEN,
    locations: Mapping[str, Location] | None = None,
) -> FetchRequest:
    sensors = {name: Sensor(number, name, "", HOUR, "UTC", 1) for number, name in enumerate(series)}
    http = HttpClient(httpx.MockTransport(server), ResponseLimits(seconds=2, max_bytes=100_000))
    places = dict.fromkeys(series, AMSTERDAM) if locations is None else locations
    return FetchRequest(sensors, start, TEN + hours * HOUR, NOW, http, places)


async def fetched(
    kind: PollingKind[Any], settings: ConnectorSettings, request: FetchRequest
) -> dict[str, FetchedSeries]:
    return {each.series: each for each in await kind.fetch(settings, request)}


def events(fetched: FetchedSeries) -> dict[datetime, float | None]:
    values = [None if np.isnan(value) else value for value in fetched.values.tolist()]
    return dict(zip([time.replace(tzinfo=UTC) for time in fetched.starts.tolist()], values, strict=True))


async def refusal(kind: PollingKind[Any], settings: ConnectorSettings, request: FetchRequest) -> FetchError:
    with pytest.raises(FetchError) as refused:
        await kind.fetch(settings, request)
    return refused.value


def unix(hours: float) -> int:
    return int((TEN + hours * HOUR).timestamp())


def open_meteo(step: float = 1, block: str = "hourly", **series: Sequence[object]) -> dict[str, Any]:
    units = {"temperature_2m": "°C", "wind_speed_120m": "m/s", "shortwave_radiation": "W/m²"}
    count = len(next(iter(series.values())))
    return {
        "latitude": 52.38,
        "longitude": 4.9,
        "utc_offset_seconds": 0,
        f"{block}_units": {"time": "unixtime", **{name: units[name] for name in series}},
        block: {"time": [unix(i * step) for i in range(count)], **series},
    }


class TestOpenMeteo:
    settings = OpenMeteoSettings()

    async def test_levels_hold_from_their_time_and_irradiance_is_of_the_hour_before(self) -> None:
        answer = open_meteo(temperature_2m=[8.5, 9, None, 10], shortwave_radiation=[50, 120.5, 300, 310])
        server = Server(answer)
        found = await fetched(OpenMeteo(), self.settings, asking(server, "temperature_2m", "shortwave_radiation"))
        assert events(found["temperature_2m"]) == {TEN: 8.5, TEN + HOUR: 9.0, TEN + 2 * HOUR: None}
        assert events(found["shortwave_radiation"]) == {TEN: 120.5, TEN + HOUR: 300.0, TEN + 2 * HOUR: 310.0}
        assert (found["temperature_2m"].unit, found["shortwave_radiation"].unit) == ("°C", "W/m²")
        assert {each.belief_time for each in found.values()} == {NOW}
        assert {each.resolution for each in found.values()} == {HOUR}

    async def test_it_is_asked_in_utc_for_metres_per_second_and_unix_times(self) -> None:
        server = Server(open_meteo(wind_speed_120m=[4, 5, 6, 7]))
        settings = OpenMeteoSettings(model="icon_seamless")
        await fetched(OpenMeteo(), settings, asking(server, "wind_speed_120m"))
        [url] = server.asked
        assert (url.host, url.path) == ("api.open-meteo.com", "/v1/forecast")
        assert dict(url.params) == {
            "latitude": "52.37",
            "longitude": "4.9",
            "hourly": "wind_speed_120m",
            "start_hour": "2026-03-29T10:00",
            "end_hour": "2026-03-29T13:00",
            "timezone": "GMT",
            "timeformat": "unixtime",
            "wind_speed_unit": "ms",
            "models": "icon_seamless",
        }

    async def test_quarters_of_an_hour(self) -> None:
        server = Server(open_meteo(0.25, "minutely_15", shortwave_radiation=[1, 2, 3, 4, 5]))
        settings = OpenMeteoSettings(resolution="PT15M")
        found = await fetched(OpenMeteo(), settings, asking(server, "shortwave_radiation", hours=1))
        assert list(events(found["shortwave_radiation"]).values()) == [2, 3, 4, 5]
        assert found["shortwave_radiation"].resolution == timedelta(minutes=15)
        assert server.asked[0].params["end_minutely_15"] == "2026-03-29T11:00"

    async def test_the_connector_may_say_where_and_each_place_is_asked_for_once(self) -> None:
        server = Server(open_meteo(temperature_2m=[1, 2, 3, 4], shortwave_radiation=[1, 2, 3, 4]))
        request = asking(server, "temperature_2m", "shortwave_radiation")
        await fetched(OpenMeteo(), OpenMeteoSettings(latitude=-33.9, longitude=18.4), request)
        assert [url.params["latitude"] for url in server.asked] == ["-33.9"]
        elsewhere = replace(request, locations={**request.locations, "shortwave_radiation": Location(1, 2)})
        assert set(await fetched(OpenMeteo(), self.settings, elsewhere)) == {"temperature_2m", "shortwave_radiation"}
        assert [url.params["hourly"] for url in server.asked[1:]] == ["temperature_2m", "shortwave_radiation"]

    async def test_without_a_place_the_sensor_is_named(self) -> None:
        refused = await refusal(OpenMeteo(), self.settings, asking(Server({}), "temperature_2m", locations={}))
        assert "sensor 0 (temperature_2m)" in refused.message
        with pytest.raises(ValidationError, match="both latitude and longitude"):
            OpenMeteoSettings(latitude=3)

    async def test_a_series_that_is_missing_does_not_keep_the_others_out(self) -> None:
        answer = open_meteo(temperature_2m=[1, 2, 3, 4], shortwave_radiation=[None] * 4)
        asked = asking(Server(answer), "temperature_2m", "wind_speed_120m", "shortwave_radiation")
        refused = await refusal(OpenMeteo(), self.settings, asked)
        assert "no wind_speed_120m and no shortwave_radiation from 2026-03-29T10" in refused.message
        [kept] = [each for each in refused.partial if not np.isnan(each.values).all()]
        assert kept.series == "temperature_2m"

    async def test_a_place_that_is_refused_does_not_keep_the_others_out(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.params["latitude"] == "1":
                return httpx.Response(400, json={"error": True, "reason": "No data is available for this location"})
            return httpx.Response(200, json=open_meteo(temperature_2m=[1, 2, 3, 4]))

        locations = {"shortwave_radiation": Location(1, 2), "temperature_2m": AMSTERDAM}
        refused = await refusal(OpenMeteo(), self.settings, asking(answer, *locations, locations=locations))
        assert "No data is available" in refused.message
        assert [each.series for each in refused.partial] == ["temperature_2m"]

    async def test_who_wants_to_be_left_alone_is_not_asked_about_the_next_place(self) -> None:
        locations = {"temperature_2m": Location(1, 2), "wind_speed_120m": AMSTERDAM}
        asked: list[str] = []

        def limited(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.params["hourly"])
            return httpx.Response(429, headers={"Retry-After": "1800"})

        refused = await refusal(OpenMeteo(), self.settings, asking(limited, *locations, locations=locations))
        assert (asked, refused.retry_after) == (["temperature_2m"], 1800)

    @pytest.mark.parametrize("hour", [0, 10, 23])
    def test_it_asks_for_no_day_that_has_no_forecast(self, hour: int) -> None:
        now = NOW.replace(hour=hour)
        _, end = OpenMeteo().window(OpenMeteoSettings(days=16), now, None)
        assert end == datetime(2026, 4, 13, 23, tzinfo=UTC)
        assert OpenMeteo().window(OpenMeteoSettings(days=2), now, None)[1] == now.replace(minute=0) + timedelta(days=2)

    async def test_its_reason_stands_in_ours(self) -> None:
        server = Server({"error": True, "reason": "Data corrupted at path ''.\n Bad variable"}, status=400)
        refused = await refusal(OpenMeteo(), self.settings, asking(server, "temperature_2m"))
        assert refused.message == (
            "api.open-meteo.com answered with status 400. It says: \"Data corrupted at path ''. Bad variable\""
        )

    async def test_a_limit_is_told_with_the_time_to_wait(self) -> None:
        def limited(request: httpx.Request) -> httpx.Response:
            reason = {"error": True, "reason": "Hourly API request limit exceeded."}
            return httpx.Response(429, headers={"Retry-After": "1800"}, json=reason)

        refused = await refusal(OpenMeteo(), self.settings, asking(limited, "temperature_2m"))
        assert refused.retry_after == 1800
        assert "Hourly API request limit exceeded." in refused.message

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"<html>",
            b"[" * 50_000,
            [],
            {},
            {"hourly": None},
            open_meteo(temperature_2m=[1, 2, 3, "warm"]),
            open_meteo(temperature_2m=[1, 2, 3, [4]]),
            open_meteo(temperature_2m=[10**400, 2, 3]),
            {**open_meteo(temperature_2m=[1, 2]), "hourly": {"time": [2e18, 1], "temperature_2m": [1, 2]}},
            {**open_meteo(temperature_2m=[1, 2]), "hourly": {"time": [unix(1)], "temperature_2m": [1, 2]}},
            {**open_meteo(temperature_2m=[1, 2]), "hourly_units": {}},
            json.dumps(open_meteo(temperature_2m=[1, float("inf"), 3])).encode(),
        ],
    )
    async def test_an_answer_of_another_form_is_refused_in_a_sentence(self, answer: object) -> None:
        refused = await refusal(OpenMeteo(), self.settings, asking(Server(answer), "temperature_2m"))
        assert refused.message.endswith(".")
        assert len(refused.message) < 200

    async def test_customers_have_a_server_of_their_own(self) -> None:
        server = Server({"reason": "Invalid API key"}, status=403)
        settings = OpenMeteoSettings(api_key=KEY)
        refused = await refusal(OpenMeteo(), settings, asking(server, "temperature_2m"))
        assert (server.asked[0].host, server.asked[0].params["apikey"]) == ("customer-api.open-meteo.com", KEY)
        assert KEY not in refused.message + repr(refused) + repr(settings)

    def test_it_asks_for_what_was_missed(self) -> None:
        window = OpenMeteo().window
        assert window(self.settings, NOW, None) == (TEN, TEN + timedelta(days=7))
        assert window(self.settings, NOW, NOW - 5 * HOUR)[0] == TEN - 5 * HOUR
        assert window(self.settings, NOW, NOW - timedelta(days=300))[0] == TEN - timedelta(days=7)


def hour(number: int, temperature: float, **more: object) -> dict[str, Any]:
    return {"dt": unix(number), "temp": temperature, "wind_speed": 3.1, "clouds": 40, "pop": 0.25, **more}


class TestOpenWeatherMap:
    settings = OpenWeatherMapSettings(api_key=KEY)

    async def test_one_call(self) -> None:
        rows = [hour(0, 8.5), hour(1, 9, rain={"1h": 1.5}, wind_gust=9), hour(2, 10), hour(3, 11)]
        server = Server({"timezone": "Europe/Amsterdam", "hourly": rows})
        found = await fetched(OpenWeatherMap(), self.settings, asking(server, "temp", "rain", "pop", "wind_gust"))
        assert events(found["temp"]) == {TEN: 8.5, TEN + HOUR: 9, TEN + 2 * HOUR: 10}
        assert list(events(found["rain"]).values()) == [0, 1.5, 0]
        assert list(events(found["wind_gust"]).values()) == [None, 9, None]
        assert {name: each.unit for name, each in found.items()} == {
            "temp": "°C",
            "rain": "mm/h",
            "pop": "",
            "wind_gust": "m/s",
        }
        asked = server.asked[0].params
        assert (asked["units"], asked["lat"], asked["appid"]) == ("metric", "52.37", KEY)

    async def test_five_days_in_steps_of_three_hours(self) -> None:
        rows = [
            {"dt": unix(2 + 3 * i), "main": {"temp": 8 + i}, "clouds": {"all": 75}, "wind": {"speed": 2.5}}
            for i in range(4)
        ]
        rows[1]["rain"] = {"3h": 6.0}
        server = Server({"cod": "200", "list": rows})
        request = asking(server, "temp", "clouds", "rain", hours=9)
        found = await fetched(OpenWeatherMap(), OpenWeatherMapSettings(api_key=KEY, product="five-days"), request)
        assert list(events(found["temp"])) == [TEN + (2 + 3 * i) * HOUR for i in range(3)]
        assert events(found["rain"]) == {TEN + 2 * HOUR: 6.0, TEN + 5 * HOUR: 0.0, TEN + 8 * HOUR: 0.0}
        assert found["temp"].resolution == 3 * HOUR

    async def test_each_product_offers_what_it_has(self) -> None:
        offered = [
            {offer.name for offer in OpenWeatherMap().series(OpenWeatherMapSettings(api_key=KEY, product=product))}
            for product in ("one-call", "five-days")
        ]
        assert offered[0] - offered[1] == {"dew_point", "uvi"}

    async def test_a_wrong_key_is_told_without_the_key(self) -> None:
        server = Server({"cod": 401, "message": "Invalid API key."}, status=401)
        refused = await refusal(OpenWeatherMap(), self.settings, asking(server, "temp"))
        assert refused.message.endswith('It says: "Invalid API key."')
        assert KEY not in refused.message + repr(refused) + repr(self.settings)

    @pytest.mark.parametrize("answer", [{}, {"hourly": 3}, {"hourly": [3]}, {"hourly": [{"dt": 1}, {"dt": None}]}])
    async def test_an_answer_of_another_form_is_refused_in_a_sentence(self, answer: object) -> None:
        refused = await refusal(OpenWeatherMap(), self.settings, asking(Server(answer), "temp"))
        assert refused.message.endswith(".")


def half_hours(first: float, *pairs: tuple[int | None, int | None]) -> list[dict[str, Any]]:
    def text(hours: float) -> str:
        return f"{TEN + hours * HOUR:%Y-%m-%dT%H:%MZ}"

    return [
        {
            "from": text(first + i / 2),
            "to": text(first + i / 2 + 0.5),
            "intensity": {"forecast": forecast, "actual": actual, "index": "low"},
        }
        for i, (forecast, actual) in enumerate(pairs)
    ]


class TestCarbonIntensity:
    settings = CarbonIntensitySettings()

    async def test_forecasts_begin_with_the_half_hour_that_runs(self) -> None:
        server = Server({"data": half_hours(-0.5, (100, 101), (110, None), (120, None))})
        found = await fetched(CarbonIntensity(), self.settings, asking(server, "forecast"))
        assert events(found["forecast"]) == {TEN: 110, TEN + HOUR / 2: 120}
        assert (found["forecast"].unit, found["forecast"].belief_time) == ("g/kWh", NOW)
        assert server.asked[0].path == "/intensity/2026-03-29T10:00Z/fw48h"

    async def test_actual_values_come_from_the_past(self) -> None:
        server = Server({"data": half_hours(-3, *[(100, 101)] * 5, (100, None))})
        request = asking(server, "actual", start=TEN - 2 * HOUR)
        found = await fetched(CarbonIntensity(), self.settings, request)
        assert list(events(found["actual"]).values()) == [101, 101, 101, None]
        assert server.asked[0].path == "/intensity/2026-03-29T08:00Z/2026-03-29T10:30Z"

    @pytest.mark.parametrize(
        ("settings", "path"),
        [
            ({"region": 13}, "/regional/intensity/2026-03-29T10:00Z/fw48h/regionid/13"),
            ({"postcode": "RG10"}, "/regional/intensity/2026-03-29T10:00Z/fw48h/postcode/RG10"),
        ],
    )
    async def test_regions(self, settings: dict[str, Any], path: str) -> None:
        server = Server({"data": {"regionid": 13, "shortname": "London", "data": half_hours(0, (90, None))}})
        regional = CarbonIntensitySettings(**settings)
        found = await fetched(CarbonIntensity(), regional, asking(server, "forecast"))
        assert events(found["forecast"]) == {TEN: 90}
        assert server.asked[0].path == path
        assert [offer.name for offer in CarbonIntensity().series(regional)] == ["forecast"]

    def test_a_region_or_a_postcode(self) -> None:
        for wrong in ({"region": 13, "postcode": "RG10"}, {"postcode": "RG10/../x"}, {"region": 18}):
            with pytest.raises(ValidationError):
                CarbonIntensitySettings(**wrong)

    @pytest.mark.parametrize(
        "answer", [{}, {"data": {}}, {"data": [{"from": "now", "intensity": {}}]}, {"data": [{"from": 3}]}]
    )
    async def test_an_answer_of_another_form_is_refused_in_a_sentence(self, answer: object) -> None:
        refused = await refusal(CarbonIntensity(), self.settings, asking(Server(answer), "forecast"))
        assert refused.message.endswith(".")

    async def test_its_reason_stands_in_ours(self) -> None:
        server = Server({"error": {"code": "400 Bad Request", "message": "Please enter a valid date."}}, status=400)
        refused = await refusal(CarbonIntensity(), self.settings, asking(server, "forecast"))
        assert 'It says: "Please enter a valid date."' in refused.message

    def test_it_looks_back_a_day_for_what_turned_out(self) -> None:
        window = CarbonIntensity().window
        assert window(self.settings, NOW, NOW - HOUR) == (TEN - timedelta(days=1), TEN + timedelta(days=2))
        assert window(self.settings, NOW, NOW - timedelta(days=300))[0] == TEN - timedelta(days=14)
