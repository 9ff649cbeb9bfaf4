"""Mail to users: through SMTP when it is set up; on a laptop to standard error, where its operator finds it."""

import asyncio
import logging
import smtplib
import sys
from dataclasses import dataclass
from email.message import EmailMessage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mailer:
    host: str | None
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    encrypted: bool = True
    """Whether to ask the server for TLS before saying anything else."""
    to_stderr: bool = False
    """Whether to print mails when there is no server: not into the log, where links and other secrets are masked."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Send one mail. A mail server that is away is logged: the request that led to the mail has succeeded."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message.set_content(text)
        if self.host is None:
            if self.to_stderr:
                print(f"No mail server is set, so here is the mail to {to}:\n{text}", file=sys.stderr, flush=True)
            else:
                log.error("The mail '%s' to %s was not sent: set FLEXMESH_MAIL_HOST", subject, to)
            return
        try:
            await asyncio.to_thread(self._deliver, message)
        except (OSError, smtplib.SMTPException) as error:
            log.error("The mail '%s' to %s was not sent: %s", subject, to, error)

    def _deliver(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host or "", self.port, timeout=20) as server:
            if self.encrypted:
                server.starttls()
            if self.user:
                server.login(self.user, self.password or "")
            server.send_message(message)
