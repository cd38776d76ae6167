"""Who may send what to whom, decided without a socket."""

import pytest

from mxfleet.mail.address import POSTMASTER, Mailbox, parse_mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mxd import policy
from mxfleet.mxd.directory import Directory

DIRECTORY = Directory.listing(
    {"corp.test": frozenset({"alice", "o'neil"}), "shop.test": frozenset({"sales"})},
    Mailbox("alice", "corp.test"),
)
NOBODY = Directory.listing({"corp.test": frozenset({"alice"})})
MINE = frozenset({"alice@corp.test", "info@corp.test"})


@pytest.mark.parametrize("authenticated", [False, True])
@pytest.mark.parametrize(
    "text", ["alice@corp.test", "Alice@CORP.test", "O'Neil@corp.test", "sales@shop.test"]
)
def test_listed_recipients_are_taken_whatever_their_case(text: str, authenticated: bool) -> None:
    mailbox = parse_mailbox(text)
    assert policy.recipient(DIRECTORY, mailbox, authenticated=authenticated) == (mailbox,)


@pytest.mark.parametrize("authenticated", [False, True])
@pytest.mark.parametrize("text", ["bob@corp.test", "alice@shop.test", '"alice "@corp.test'])
def test_unknown_mailboxes_of_our_domains_are_refused_to_everybody(text: str, authenticated: bool) -> None:
    assert (
        policy.recipient(DIRECTORY, parse_mailbox(text), authenticated=authenticated)
        == policy.NO_SUCH_MAILBOX
    )


@pytest.mark.parametrize("text", ["x@elsewhere.test", "alice@[127.0.0.1]", "alice@corp.test.elsewhere.test"])
def test_other_domains_are_for_authenticated_users_only(text: str) -> None:
    mailbox = parse_mailbox(text)
    assert policy.recipient(DIRECTORY, mailbox, authenticated=False) == policy.RELAYING_DENIED
    assert policy.recipient(DIRECTORY, mailbox, authenticated=True) == (mailbox,)


def test_no_trick_of_the_local_part_relays() -> None:
    for text in ('"x@elsewhere.test"@corp.test', "x%elsewhere.test@corp.test", "elsewhere.test!x@corp.test"):
        assert policy.recipient(DIRECTORY, parse_mailbox(text), authenticated=False) == policy.NO_SUCH_MAILBOX


def test_the_postmaster_is_somebody_where_there_is_one() -> None:
    alice = Mailbox("alice", "corp.test")
    for mailbox in (POSTMASTER, parse_mailbox("PostMaster@corp.test"), parse_mailbox("postmaster@shop.test")):
        assert policy.recipient(DIRECTORY, mailbox, authenticated=False) == (alice,)
    elsewhere = parse_mailbox("postmaster@elsewhere.test")
    assert policy.recipient(DIRECTORY, elsewhere, authenticated=False) == policy.RELAYING_DENIED
    assert policy.recipient(NOBODY, POSTMASTER, authenticated=False) == policy.NO_SUCH_MAILBOX


def test_an_account_sends_as_itself_and_with_the_null_path() -> None:
    assert policy.sender(parse_mailbox("Info@corp.test"), MINE) is None
    assert policy.sender(None, MINE) is None
    assert policy.sender(parse_mailbox("bob@corp.test"), MINE) == policy.NOT_YOUR_ADDRESS


@pytest.mark.parametrize(
    ("addresses", "code"),
    [
        (("alice@corp.test",), None),
        (("ALICE@corp.test", "info@corp.test"), None),
        (("alice@corp.test", "bob@corp.test"), 550),
        (("alice@corp.test ",), 550),
        (("not an address",), 550),
        ((), 550),
    ],
)
def test_every_author_must_belong_to_the_account(addresses: tuple[str, ...], code: int | None) -> None:
    refusal = policy.author(addresses, MINE)
    assert (refusal.code if isinstance(refusal, Reply) else None) == code


def test_fifty_hops_are_enough_and_five_of_our_own() -> None:
    assert policy.hops(50) is None
    assert policy.hops(51) == policy.TOO_MANY_HOPS
    assert policy.hops(6, 5) is None
    assert policy.hops(6, 6) == policy.TOO_MANY_HOPS
