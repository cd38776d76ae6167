"""Debian's Postfix as a private instance that accepts and holds, tuned for it; docs/measured/receive.md says how."""

import shutil
import subprocess
from pathlib import Path

from bench.receiving.certificate import Certificate
from bench.receiving.machine import Account, BenchError, answers, free_ports, wait_until

# What is turned off costs Postfix time and is no part of receiving; nothing that a 250 promises is weakened.
MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/mail.log
maillog_file_prefixes = {directory}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.corp.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_process_limit = 600
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
virtual_mailbox_domains = corp.test
virtual_mailbox_maps = static:alice
virtual_transport = discard
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access static:HOLD, reject_unauth_destination
message_size_limit = 52428800
mailbox_size_limit = 0
alias_maps =
alias_database =
local_recipient_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {chain}
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_protocols = >=TLSv1.2
smtpd_tls_loglevel = 0
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
NAME = "Postfix"


class Postfix:
    """One life of the instance, in an empty directory; ended with `end`."""

    name = NAME

    def __init__(self, directory: Path, account: Account, certificate: Certificate) -> None:
        """Start it and wait until it answers."""
        self.directory, self.account = directory, account
        (self.port,) = free_ports(1)
        for name in ("etc", "queue", "data"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix", "postfix")
        main = MAIN.format(directory=directory, key=certificate.key, chain=certificate.chain)
        (directory / "etc" / "main.cf").write_text(main)
        (directory / "etc" / "master.cf").write_text(MASTER.format(port=self.port))
        with (directory / "console").open("wb") as console:
            command = ["/usr/sbin/postfix", "-c", str(directory / "etc"), "start-fg"]
            self._process = subprocess.Popen(account.command(command), stdout=console, stderr=console)
        try:
            wait_until(self._answers, 30, "Postfix answers")
        except BenchError:
            self.end()
            raise

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise BenchError(f"Postfix ended: {(self.directory / 'console').read_text()[-800:]}")
        return answers(self.port)

    def kept(self) -> int:
        """Messages on hold, each committed to disk before its 250."""
        return sum(1 for path in (self.directory / "queue" / "hold").rglob("*") if path.is_file())

    def end(self) -> None:
        """Stop it; whatever does not stop is ended by its process id."""
        self._process.terminate()
        try:
            self._process.wait(15)
        finally:
            self.account.end()
