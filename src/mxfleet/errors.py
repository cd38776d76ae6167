"""Every error that mxfleet raises on purpose, as one tree.

MxfleetError
├── FleetError            the inventory is wrong; the sentence names the place and the remedy
├── RenderError           a template and the fleet do not fit together
├── StateError            ledger or vault: missing, locked, damaged, or written by somebody else
│   └── StateMissing      nothing was minted yet; the hint names the command that does it
├── DnsError              a zone could not be read, planned or changed
│   ├── GuardRefused      a plan would break mail; names the guard and how to force it
│   └── PlanStale         the zone is not what the plan was made for
├── DeployError           a node could not be brought to what the inventory says
├── LabError              the lab on this machine could not do what was asked
├── MailError             protocol-level trouble: an address, a message, a reply that cannot be
│   ├── AddressError
│   ├── MessageError
│   └── SmtpError
└── ServiceError          mxd cannot start or go on
    ├── SettingsError     /etc/mxfleet/mxd.toml is not what the service reads
    └── SpoolError        the queue on disk cannot be used
"""


class MxfleetError(Exception):
    """Base of all: one sentence that says what, where and why; `hint` is the next command to type.

    Raised as `MxfleetError("what happened, where, why", hint="mxfleet …")`.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """One line: the sentence and, where there is one, what to do next."""
        return f"{self.message} — {self.hint}" if self.hint else self.message


class FleetError(MxfleetError):
    """The inventory describes a fleet that cannot or must not exist."""


class RenderError(MxfleetError):
    """A template asks for what the fleet does not have."""


class StateError(MxfleetError):
    """The ledger or the vault cannot be used as it is."""


class StateMissing(StateError):
    """The fleet has no ledger or vault yet, or lacks one entry that is needed now."""


class DnsError(MxfleetError):
    """A zone could not be read, planned or changed."""


class GuardRefused(DnsError):
    """A plan was refused by a guard; the message carries the guard's id."""


class PlanStale(DnsError):
    """The zone has changed since the plan was made."""


class DeployError(MxfleetError):
    """A node could not be brought to what the inventory says."""


class LabError(MxfleetError):
    """The lab on this machine could not do what was asked."""


class MailError(MxfleetError):
    """A mail protocol rule is broken."""


class AddressError(MailError):
    """A mailbox or domain that RFC 5321 §4.1.2 does not allow."""


class MessageError(MailError):
    """A message that RFC 5322 does not allow, in a way that matters here."""


class SmtpError(MailError):
    """The other side of an SMTP dialogue broke the protocol."""


class ServiceError(MxfleetError):
    """`mxd` cannot start or go on."""


class SettingsError(ServiceError):
    """`mxd.toml` is not what the service reads: an unknown key, a wrong type, a missing file."""


class SpoolError(ServiceError):
    """The queue on disk cannot be used."""
