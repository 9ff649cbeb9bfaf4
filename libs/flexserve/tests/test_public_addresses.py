import ipaddress

import httpx
import pytest
from flexserve import public_addresses
from flexserve.public_addresses import PrivateAddressError, PublicAddressTransport, is_public


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "168.63.129.17",
        "2606:4700::6810:84e5",
        "2a00:1450:4001::8a",
        "64:ff9b::5db8:d70e",
        "::ffff:93.184.215.14",
    ],
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:5db8:d70e::",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "64:ff9b::a83f:8110",
        "64:ff9b:1::1",
        "192.0.0.9",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.175.48.1",
        "198.18.0.1",
        "240.0.0.1",
        "fec0::1",
        "fe80::1%1",
        "2606:4700::1%1",
        "::5db8:d70e",
        "::ffff:0:5db8:d70e",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2620:4f:8000::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


class Recorder(httpx.AsyncBaseTransport):
    """A transport that responds to everything and records the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200)


def names(monkeypatch: pytest.MonkeyPatch, **known: list[str]) -> None:
    """Make names resolve to these addresses."""

    async def resolve(host: str, port: int) -> list[str]:
        return known.get(host.split(".")[0], [host])

    monkeypatch.setattr(public_addresses, "resolve", resolve)


async def test_it_connects_to_the_address_it_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, hook=["93.184.215.14"])
    recorder = Recorder()
    async with httpx.AsyncClient(transport=PublicAddressTransport(recorder)) as client:
        assert (await client.post("https://hook.example:8443/path?x=1")).status_code == 200
    [request] = recorder.requests
    assert str(request.url) == "https://93.184.215.14:8443/path?x=1"
    assert request.headers["host"] == "hook.example:8443"
    assert request.extensions["sni_hostname"] == "hook.example"


@pytest.mark.parametrize(
    "url",
    [
        "http://inside.example/",
        "http://both.example/",
        "http://127.0.0.1:5432/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_private_addresses_are_not_contacted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    names(monkeypatch, inside=["10.0.0.5"], both=["93.184.215.14", "127.0.0.1"], **{"[::1]": ["::1"]})
    recorder = Recorder()
    async with httpx.AsyncClient(transport=PublicAddressTransport(recorder)) as client:
        with pytest.raises(PrivateAddressError, match="private address"):
            await client.post(url)
    assert recorder.requests == []


@pytest.mark.parametrize("name", ["localhost", "2130706433", "0x7f.1"])
async def test_other_ways_to_write_the_own_machine(name: str) -> None:
    recorder = Recorder()
    async with httpx.AsyncClient(transport=PublicAddressTransport(recorder)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(f"http://{name}/")
    assert recorder.requests == []


async def test_unknown_hosts_say_so() -> None:
    async with httpx.AsyncClient(transport=PublicAddressTransport(Recorder())) as client:
        with pytest.raises(httpx.ConnectError, match="not a known host"):
            await client.post("http://no-such-host.invalid/")
