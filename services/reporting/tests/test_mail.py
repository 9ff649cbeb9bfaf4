"""Mails are sent through the configured server, or printed where the operator of a laptop sees them."""

import smtplib
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any, Self

import pytest
from flexstore.store import Store
from flexwork import outbox
from flexwork.contracts import MailMessage, Topic
from waiting import until
from webhook_receiver import Delivering

type Send = Callable[..., Awaitable[None]]
LINK = "http://localhost:5000/password?token=secret"
MAIL = MailMessage(to="toy-user@example.com", subject="Choose your password", text=f"Choose it:\n\n{LINK}\n")


@pytest.fixture
def send(store: Store, delivering: Delivering) -> Send:
    """A function that leaves the mail in the outbox, and delivers it with the given settings."""

    async def send(**settings: object) -> None:
        async with store.transaction() as con:
            await outbox.put(con, Topic.MAIL, MAIL.to_payload())

        async def is_gone() -> bool:
            async with store.connection() as con:
                return not await con.fetchval("select count(*) from outbox")

        async with delivering(**settings):
            await until(is_gone)

    return send


async def test_on_a_laptop_mails_are_printed(send: Send, capsys: pytest.CaptureFixture[str]) -> None:
    await send(mail_to_stderr=True)
    printed = capsys.readouterr().err
    assert "here is the mail to toy-user@example.com" in printed and LINK in printed


async def test_without_a_mail_server_no_link_is_in_the_log(
    send: Send, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await send()
    shown = f"{caplog.text} {capsys.readouterr()}"
    assert "set FLEXMESH_MAIL_HOST" in shown
    assert "token=" not in shown


async def test_a_mail_goes_to_the_server_that_is_set(
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent: list[Any] = []

    class Server:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            sent.append((host, port))

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def starttls(self) -> None:
            sent.append("TLS")

        def login(self, user: str, password: str) -> None:
            sent.append((user, password))

        def send_message(self, message: EmailMessage) -> None:
            sent.append(message)

    monkeypatch.setattr(smtplib, "SMTP", Server)
    await send(mail_host="mail.example", mail_user="flex", mail_password="letter box")
    *before, message = sent
    assert before == [("mail.example", 587), "TLS", ("flex", "letter box")]
    assert message["To"] == "toy-user@example.com"
    assert "/password?token=" in message.get_content()
    assert "token=" not in f"{caplog.text} {capsys.readouterr()}"
