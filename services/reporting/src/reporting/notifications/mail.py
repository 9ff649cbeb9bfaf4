"""Mail: through SMTP where a server is set; on a laptop to standard error, where its operator finds it."""

import asyncio
import smtplib
import sys
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Self

from flexserve import logs
from flexwork.contracts import MailMessage
from flexwork.outbox import Message

from reporting.settings import ReportingSettings

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Mailer:
    """Sends mails."""

    host: str | None
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    encrypted: bool = True
    """True to start TLS before anything else."""
    to_stderr: bool = False
    """True to print mails when no server is set. The log is no place for them: it masks links and other secrets."""

    @classmethod
    def from_settings(cls, settings: ReportingSettings) -> Self:
        """Return the mailer of the settings."""
        password = settings.mail_password
        return cls(
            settings.mail_host,
            settings.mail_port,
            settings.mail_from,
            settings.mail_user,
            None if password is None else password.get_secret_value(),
            settings.mail_tls,
            settings.mail_to_stderr,
        )

    async def deliver(self, message: Message) -> None:
        """Send a message of the outbox."""
        await self.send(MailMessage.from_payload(message.payload))

    async def send(self, mail: MailMessage) -> None:
        """Send a mail. A failure is logged, and the mail is not sent again."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, mail.to, mail.subject
        message.set_content(mail.text)
        if self.host is None:
            if self.to_stderr:
                print(
                    f"No mail server is set, so here is the mail to {mail.to}:\n{mail.text}",
                    file=sys.stderr,
                    flush=True,
                )
            else:
                log.error(f"The mail '{mail.subject}' to {mail.to} was not sent: set FLEXMESH_MAIL_HOST")
            return
        try:
            await asyncio.to_thread(self._send_by_smtp, message)
        except (OSError, smtplib.SMTPException) as error:
            log.error(f"The mail '{mail.subject}' to {mail.to} was not sent: {error}")

    def _send_by_smtp(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host or "", self.port, timeout=20) as server:
            if self.encrypted:
                server.starttls()
            if self.user:
                server.login(self.user, self.password or "")
            server.send_message(message)
