"""HTTP client of connectors with servers that are well, slow, broken, busy or hostile."""

import gzip
import ipaddress
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from flexserve import public_addresses
from ingest.connectors import http_client as http_client_module
from ingest.connectors.fetched_series import FetchError, TemporaryFetchError
from ingest.connectors.http_client import HttpClient, ResponseLimits, open_client, parse_retry_after
from ingest_service import Provider

LIMITS = ResponseLimits(seconds=0.5, max_bytes=100_000)


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client_module, "FIRST_WAIT", 0.01)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with open_client(LIMITS, private_addresses=True) as client:
        yield client


async def test_it_asks_and_gets_an_answer(client: HttpClient, provider: Provider) -> None:
    provider.reply("fine", headers={"x-what": "ever"})
    answer = await client.request(f"{provider.url}/prices", params={"zone": "NL"}, headers={"X-Key": "k"})
    assert (answer.status, answer.body, answer.headers["x-what"]) == (200, b"fine", "ever")
    [asked] = provider.requests
    assert (asked["path"], asked["query"], asked["headers"]["x-key"]) == ("/prices", {"zone": "NL"}, "k")
    assert asked["headers"]["user-agent"].startswith("Flexmesh/")


async def test_packed_answers_are_unpacked(client: HttpClient, provider: Provider) -> None:
    provider.reply(gzip.compress(b"fine" * 1000), headers={"content-encoding": "gzip"})
    assert (await client.request(provider.url)).body == b"fine" * 1000


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_that_may_pass_is_tried_again(client: HttpClient, provider: Provider, status: int) -> None:
    provider.reply(status=status)
    provider.reply(status=status)
    provider.reply("fine")
    assert (await client.request(provider.url)).body == b"fine"
    assert len(provider.requests) == 3


async def test_trouble_that_does_not_pass_is_told(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=502)
    with pytest.raises(TemporaryFetchError, match=r"127.0.0.1 has trouble of its own \(status 502\)"):
        await client.request(provider.url)
    assert len(provider.requests) == 3


async def test_who_wants_to_be_left_alone_for_long_is_left_alone(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=429, headers={"Retry-After": "3600"})
    with pytest.raises(TemporaryFetchError, match="asked less often") as caught:
        await client.request(provider.url)
    assert caught.value.retry_after == 3600
    assert len(provider.requests) == 1


async def test_retry_after_is_waited_for(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=429, headers={"Retry-After": "1"})
    provider.reply("fine")
    start = datetime.now(UTC)
    assert (await client.request(provider.url)).body == b"fine"
    assert datetime.now(UTC) - start >= timedelta(seconds=1)


async def test_who_says_at_once_is_given_a_moment_all_the_same(
    client: HttpClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client_module, "FIRST_WAIT", 0.1)
    provider.reply(status=503, headers={"Retry-After": "0"})
    provider.reply("fine")
    start = datetime.now(UTC)
    assert (await client.request(provider.url)).body == b"fine"
    assert datetime.now(UTC) - start >= timedelta(seconds=0.1)


def test_retry_after_may_be_a_moment() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert parse_retry_after(httpx.Headers({"retry-after": later})) == pytest.approx(90, abs=2)
    assert parse_retry_after(httpx.Headers({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"})) == 0
    for text in (b"", b"soon", b"-5", b"1e9", b"\xb2"):
        assert parse_retry_after(httpx.Headers([(b"retry-after", text)])) is None


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "check the token"), (403, "check the token"), (404, "status 404"), (204, "status 204")],
)
async def test_refusals_are_told_and_not_tried_again(
    client: HttpClient, provider: Provider, status: int, sentence: str
) -> None:
    provider.reply(status=status)
    with pytest.raises(FetchError, match=sentence):
        (await client.request(provider.url)).expect_success()
    assert len(provider.requests) == 1


async def test_who_is_too_slow_is_not_waited_for(client: HttpClient, provider: Provider) -> None:
    provider.reply("late", delay=5)
    with pytest.raises(TemporaryFetchError, match=r"did not answer within 0\.5 seconds"):
        await client.request(provider.url)


async def test_who_never_ends_is_cut_off(client: HttpClient, provider: Provider) -> None:
    provider.reply(b"x" * 10, endless=True, delay=0.2)
    slow = HttpClient(client._transport, ResponseLimits(seconds=0.3, max_bytes=10**12))
    with pytest.raises(TemporaryFetchError, match="did not answer within"):
        await slow.request(provider.url)


async def test_answers_that_are_too_large_are_refused(client: HttpClient, provider: Provider) -> None:
    provider.reply(b"x" * 10_000, endless=True)
    with pytest.raises(FetchError, match=r"more than 0\.1 MB"):
        await client.request(provider.url)
    assert len(provider.requests) == 1


async def test_a_packed_bomb_takes_no_memory(client: HttpClient, provider: Provider) -> None:
    provider.reply(gzip.compress(bytes(200_000_000), 1), headers={"content-encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(FetchError, match=r"more than 0\.1 MB"):
        await client.request(provider.url)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("body", "coding", "sentence"),
    [
        (gzip.compress(b"fine" * 1000, mtime=0)[:-20], "gzip", "ends too early"),
        (b"no gzip at all", "gzip", "cannot be unpacked"),
        (b"whatever", "br", "not asked for"),
    ],
)
async def test_badly_packed_answers(
    client: HttpClient, provider: Provider, body: bytes, coding: str, sentence: str
) -> None:
    provider.reply(body, headers={"content-encoding": coding})
    with pytest.raises(FetchError, match=sentence):
        await client.request(provider.url)


async def test_nobody_listens(client: HttpClient) -> None:
    with pytest.raises(TemporaryFetchError, match=r"127\.0\.0\.1 cannot be reached"):
        await client.request("http://127.0.0.1:1/?token=hush")


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "ftp://example.org", "http://a:b:c/", "https://\x00/"])
async def test_what_is_no_address(client: HttpClient, url: str) -> None:
    with pytest.raises(FetchError):
        await client.request(url)


async def test_redirects_on_the_same_server_are_followed_with_everything(
    client: HttpClient, provider: Provider
) -> None:
    provider.reply(status=307, headers={"location": "/other"})
    provider.reply("fine")
    assert (await client.request(provider.url, method="POST", json={"a": 1}, headers={"X-Key": "k"})).body == b"fine"
    assert [asked["path"] for asked in provider.requests] == ["/", "/other"]
    assert provider.requests[1]["headers"]["x-key"] == "k"
    assert provider.requests[1]["body"] == b'{"a":1}'


async def test_another_server_is_not_told_the_secrets(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=302, headers={"location": provider.url.replace("127.0.0.1", "localhost") + "/other"})
    provider.reply("fine")
    assert (await client.request(provider.url, headers={"X-Key": "k", "Authorization": "Bearer t"})).body == b"fine"
    assert not {"x-key", "authorization"} & set(provider.requests[1]["headers"])


async def test_what_is_sent_goes_to_no_other_server(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=307, headers={"location": provider.url.replace("127.0.0.1", "localhost") + "/other"})
    with pytest.raises(FetchError, match="another server"):
        await client.request(provider.url, method="POST", json={"a": 1})


async def test_redirects_end(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=302, headers={"location": "/again"})
    with pytest.raises(FetchError, match="from one address to the next"):
        await client.request(provider.url)
    assert len(provider.requests) == 4


async def test_redirects_to_files_are_refused(client: HttpClient, provider: Provider) -> None:
    provider.reply(status=302, headers={"location": "file:///etc/passwd"})
    with pytest.raises(FetchError, match="not one of the web"):
        await client.request(provider.url)


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "http://[::1]:5432/", "http://10.0.0.1/"]
)
async def test_redirects_into_our_own_network_are_refused(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, target: str
) -> None:
    is_public = public_addresses.is_public
    here = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr(public_addresses, "is_public", lambda address: address == here or is_public(address))
    provider.reply(status=302, headers={"location": target})
    async with open_client(LIMITS, private_addresses=False) as client:
        with pytest.raises(FetchError, match="private address"):
            await client.request(provider.url)
    assert len(provider.requests) == 1


async def test_private_addresses_are_not_asked(provider: Provider) -> None:
    async with open_client(LIMITS, private_addresses=False) as client:
        with pytest.raises(FetchError, match="private address"):
            await client.request(provider.url)
    assert provider.requests == []


async def test_two_names_at_one_address_never_share_a_connection(
    monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(public_addresses, "resolve", resolve)
    monkeypatch.setattr(public_addresses, "is_public", lambda address: True)
    provider.reply("fine")
    port = provider.url.rpartition(":")[2]
    async with open_client(LIMITS, private_addresses=False) as client:
        for name in ("one.example", "another.example"):
            await client.request(f"http://{name}:{port}")
    assert [asked["headers"]["host"] for asked in provider.requests] == [
        f"one.example:{port}",
        f"another.example:{port}",
    ]
    assert len({asked["client"] for asked in provider.requests}) == 2
