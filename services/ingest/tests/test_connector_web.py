"""Asking the outside world, when it is well, slow, broken, busy or bad."""

import gzip
import ipaddress
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from flexserve import public_addresses
from ingest.connectors import web as web_module
from ingest.connectors.fetched import NotFetched, Passing
from ingest.connectors.web import Limits, Web, opened, retry_after

LIMITS = Limits(seconds=0.5, largest=100_000)


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "FIRST_WAIT", 0.01)


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with opened(LIMITS, private_addresses=True) as web:
        yield web


async def test_it_asks_and_gets_an_answer(web, provider):
    provider.answer("fine", headers={"x-what": "ever"})
    answer = await web.ask(f"{provider.url}/prices", params={"zone": "NL"}, headers={"X-Key": "k"})
    assert (answer.status, answer.body, answer.headers["x-what"]) == (200, b"fine", "ever")
    [asked] = provider.asked
    assert (asked["path"], asked["query"], asked["headers"]["x-key"]) == ("/prices", {"zone": "NL"}, "k")
    assert asked["headers"]["user-agent"].startswith("Flexmesh/")


async def test_packed_answers_are_unpacked(web, provider):
    provider.answer(gzip.compress(b"fine" * 1000), headers={"content-encoding": "gzip"})
    assert (await web.ask(provider.url)).body == b"fine" * 1000


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_that_may_pass_is_tried_again(web, provider, status):
    provider.answer(status=status)
    provider.answer(status=status)
    provider.answer("fine")
    assert (await web.ask(provider.url)).body == b"fine"
    assert len(provider.asked) == 3


async def test_trouble_that_does_not_pass_is_told(web, provider):
    provider.answer(status=502)
    with pytest.raises(Passing, match=r"127.0.0.1 has trouble of its own \(status 502\)"):
        await web.ask(provider.url)
    assert len(provider.asked) == 3


async def test_who_wants_to_be_left_alone_for_long_is_left_alone(web, provider):
    provider.answer(status=429, headers={"Retry-After": "3600"})
    with pytest.raises(Passing, match="asked less often") as caught:
        await web.ask(provider.url)
    assert caught.value.retry_after == 3600
    assert len(provider.asked) == 1


async def test_retry_after_is_waited_for(web, provider):
    provider.answer(status=429, headers={"Retry-After": "1"})
    provider.answer("fine")
    start = datetime.now(UTC)
    assert (await web.ask(provider.url)).body == b"fine"
    assert datetime.now(UTC) - start >= timedelta(seconds=1)


async def test_who_says_at_once_is_given_a_moment_all_the_same(web, provider, monkeypatch):
    monkeypatch.setattr(web_module, "FIRST_WAIT", 0.1)
    provider.answer(status=503, headers={"Retry-After": "0"})
    provider.answer("fine")
    start = datetime.now(UTC)
    assert (await web.ask(provider.url)).body == b"fine"
    assert datetime.now(UTC) - start >= timedelta(seconds=0.1)


def test_retry_after_may_be_a_moment():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after(httpx.Headers({"retry-after": later})) == pytest.approx(90, abs=2)
    assert retry_after(httpx.Headers({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"})) == 0
    for text in (b"", b"soon", b"-5", b"1e9", b"\xb2"):
        assert retry_after(httpx.Headers([(b"retry-after", text)])) is None


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "check the token"), (403, "check the token"), (404, "status 404"), (204, "status 204")],
)
async def test_refusals_are_told_and_not_tried_again(web, provider, status, sentence):
    provider.answer(status=status)
    with pytest.raises(NotFetched, match=sentence):
        (await web.ask(provider.url)).expect_success()
    assert len(provider.asked) == 1


async def test_who_is_too_slow_is_not_waited_for(web, provider):
    provider.answer("late", delay=5)
    with pytest.raises(Passing, match=r"did not answer within 0\.5 seconds"):
        await web.ask(provider.url)


async def test_who_never_ends_is_cut_off(web, provider):
    provider.answer(b"x" * 10, endless=True, delay=0.2)
    slow = Web(web._transport, Limits(seconds=0.3, largest=10**12))
    with pytest.raises(Passing, match="did not answer within"):
        await slow.ask(provider.url)


async def test_answers_that_are_too_large_are_refused(web, provider):
    provider.answer(b"x" * 10_000, endless=True)
    with pytest.raises(NotFetched, match=r"more than 0\.1 MB"):
        await web.ask(provider.url)
    assert len(provider.asked) == 1


async def test_a_packed_bomb_takes_no_memory(web, provider):
    provider.answer(gzip.compress(bytes(200_000_000), 1), headers={"content-encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(NotFetched, match=r"more than 0\.1 MB"):
        await web.ask(provider.url)
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
async def test_badly_packed_answers(web, provider, body, coding, sentence):
    provider.answer(body, headers={"content-encoding": coding})
    with pytest.raises(NotFetched, match=sentence):
        await web.ask(provider.url)


async def test_nobody_listens(web):
    with pytest.raises(Passing, match=r"127\.0\.0\.1 cannot be reached"):
        await web.ask("http://127.0.0.1:1/?token=hush")


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "ftp://example.org", "http://a:b:c/", "https://\x00/"])
async def test_what_is_no_address(web, url):
    with pytest.raises(NotFetched):
        await web.ask(url)


async def test_redirects_on_the_same_server_are_followed_with_everything(web, provider):
    provider.answer(status=307, headers={"location": "/other"})
    provider.answer("fine")
    assert (await web.ask(provider.url, method="POST", json={"a": 1}, headers={"X-Key": "k"})).body == b"fine"
    assert [asked["path"] for asked in provider.asked] == ["/", "/other"]
    assert provider.asked[1]["headers"]["x-key"] == "k"
    assert provider.asked[1]["body"] == b'{"a":1}'


async def test_another_server_is_not_told_the_secrets(web, provider):
    provider.answer(status=302, headers={"location": provider.url.replace("127.0.0.1", "localhost") + "/other"})
    provider.answer("fine")
    assert (await web.ask(provider.url, headers={"X-Key": "k", "Authorization": "Bearer t"})).body == b"fine"
    assert not {"x-key", "authorization"} & set(provider.asked[1]["headers"])


async def test_what_is_sent_goes_to_no_other_server(web, provider):
    provider.answer(status=307, headers={"location": provider.url.replace("127.0.0.1", "localhost") + "/other"})
    with pytest.raises(NotFetched, match="another server"):
        await web.ask(provider.url, method="POST", json={"a": 1})


async def test_redirects_end(web, provider):
    provider.answer(status=302, headers={"location": "/again"})
    with pytest.raises(NotFetched, match="from one address to the next"):
        await web.ask(provider.url)
    assert len(provider.asked) == 4


async def test_redirects_to_files_are_refused(web, provider):
    provider.answer(status=302, headers={"location": "file:///etc/passwd"})
    with pytest.raises(NotFetched, match="not one of the web"):
        await web.ask(provider.url)


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "http://[::1]:5432/", "http://10.0.0.1/"]
)
async def test_redirects_into_our_own_network_are_refused(monkeypatch, provider, target):
    is_public = public_addresses.is_public
    here = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr(public_addresses, "is_public", lambda address: address == here or is_public(address))
    provider.answer(status=302, headers={"location": target})
    async with opened(LIMITS, private_addresses=False) as web:
        with pytest.raises(NotFetched, match="private address"):
            await web.ask(provider.url)
    assert len(provider.asked) == 1


async def test_private_addresses_are_not_asked(provider):
    async with opened(LIMITS, private_addresses=False) as web:
        with pytest.raises(NotFetched, match="private address"):
            await web.ask(provider.url)
    assert provider.asked == []


async def test_two_names_at_one_address_never_share_a_connection(monkeypatch, provider):
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(public_addresses, "resolve", resolve)
    monkeypatch.setattr(public_addresses, "is_public", lambda address: True)
    provider.answer("fine")
    port = provider.url.rpartition(":")[2]
    async with opened(LIMITS, private_addresses=False) as web:
        for name in ("one.example", "another.example"):
            await web.ask(f"http://{name}:{port}")
    assert [asked["headers"]["host"] for asked in provider.asked] == [f"one.example:{port}", f"another.example:{port}"]
    assert len({asked["client"] for asked in provider.asked}) == 2
