"""Who an address stands for."""

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.aliases import MAX_DEPTH, Destination, Names, resolve, split_detail


def at(*texts: str) -> tuple[Mailbox, ...]:
    return tuple(parse_mailbox(text if "@" in text else f"{text}@corp.test") for text in texts)


def one(text: str) -> Mailbox:
    return at(text)[0]


DOMAINS = {
    "corp.test": Names(
        frozenset({"alice", "bob", "plus+sign", "jörg"}),
        {
            "sales": at("alice", "bob+sales", "carol@peer.test"),
            "alice": at("alice", "archive@shop.test"),
            "all": at("sales", "bob", "staff"),
            "staff": at("sales", "all"),
            "one": at("two"),
            "two": at("one"),
            "ghost": at("nobody"),
            "remote": at("info@shop.test"),
        },
    ),
    "shop.test": Names(frozenset({"archive"}), catch_all=at("bob"), separator=""),
    "old.test": Names(frozenset(), rewrite_to="corp.test"),
    "loop.test": Names(frozenset(), catch_all=at("x@loop.test")),
}


def where(text: str) -> list[str]:
    return [str(destination.mailbox) for destination in resolve(one(text), DOMAINS).destinations]


def test_a_mailbox_is_itself_and_nobody_is_nobody() -> None:
    assert resolve(one("bob"), DOMAINS).destinations == (Destination(one("bob"), one("bob")),)
    found = resolve(one("nobody"), DOMAINS)
    assert found.destinations == ()
    assert found.nowhere == at("nobody")
    assert where("BOB") == ["BOB@corp.test"]
    assert where("Jo\u0308rg") == ["Jo\u0308rg@corp.test"]


def test_another_name_of_a_domain_has_its_addresses() -> None:
    assert where("bob@old.test") == ["bob@corp.test"]
    assert where("sales@old.test") == where("sales")
    assert where("nobody@old.test") == []


def test_an_alias_is_all_its_targets_each_once() -> None:
    assert where("sales") == [
        "alice@corp.test",
        "archive@shop.test",
        "bob+sales@corp.test",
        "carol@peer.test",
    ]
    last = resolve(one("sales"), DOMAINS).destinations[-1]
    assert last.forwarded
    assert last.through == at("sales")


def test_an_alias_that_names_itself_means_the_mailbox() -> None:
    assert where("alice") == ["alice@corp.test", "archive@shop.test"]
    assert resolve(one("alice"), DOMAINS).circles == ()


def test_aliases_may_lead_to_the_same_people_twice() -> None:
    found = resolve(one("all"), DOMAINS)
    assert len(found.destinations) == 4
    assert found.circles == at("all")


def test_a_circle_is_told_and_leads_nowhere() -> None:
    found = resolve(one("one"), DOMAINS)
    assert found.destinations == ()
    assert found.circles == at("one")


def test_an_alias_to_nobody_is_told() -> None:
    found = resolve(one("ghost"), DOMAINS)
    assert (found.destinations, found.nowhere) == ((), at("nobody"))


def test_a_detail_belongs_to_the_mailbox_unless_the_whole_is_listed() -> None:
    (destination,) = resolve(one("bob+lists"), DOMAINS).destinations
    assert (destination.mailbox, destination.owner) == at("bob+lists", "bob")
    (destination,) = resolve(one("plus+sign"), DOMAINS).destinations
    assert destination.owner == at("plus+sign")[0]
    assert len(resolve(one("sales+x"), DOMAINS).destinations) == 4
    assert split_detail("+x", "+") == ("+x", "")
    assert split_detail("a+b+c", "+") == ("a", "b+c")
    assert split_detail("a+", "+") == ("a", "")
    assert split_detail("a+b", "") == ("a+b", "")


def test_a_catch_all_is_for_whoever_is_not_there() -> None:
    assert where("whoever@shop.test") == ["bob@corp.test"]
    assert where("archive@shop.test") == ["archive@shop.test"]
    assert where("remote") == ["bob@corp.test"]
    assert where("y@loop.test") == []


def test_endless_chains_end() -> None:
    names = Names(frozenset({"end"}), {f"a{n}": at(f"a{n + 1}") for n in range(2000)})
    found = resolve(one("a0"), {"corp.test": names})
    assert found.too_many
    assert found.destinations == ()
    short = Names(
        frozenset({"end"}),
        {f"a{n}": at(f"a{n + 1}") for n in range(MAX_DEPTH - 1)} | {f"a{MAX_DEPTH - 1}": at("end")},
    )
    assert len(resolve(one("a0"), {"corp.test": short}).destinations) == 1
    wide = Names(frozenset(f"m{n}" for n in range(3000)), {"all": at(*(f"m{n}" for n in range(3000)))})
    found = resolve(one("all"), {"corp.test": wide})
    assert found.too_many
    assert len(found.destinations) == 1000


words = st.sampled_from(["a", "b", "c", "d", "e"])


@given(
    st.frozensets(words),
    st.dictionaries(words, st.lists(words, min_size=1, max_size=3), max_size=5),
    words,
)
def test_any_aliases_end_and_every_mailbox_that_can_be_reached_is_found(
    mailboxes: frozenset[str], aliases: dict[str, list[str]], start: str
) -> None:
    domains = {"corp.test": Names(mailboxes, {name: at(*targets) for name, targets in aliases.items()})}
    found = resolve(one(start), domains)
    reached, todo = set[str](), [start]
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        todo += aliases.get(name, [])
    owners = {destination.owner.local for destination in found.destinations}
    assert owners <= mailboxes & reached
    assert (mailboxes - aliases.keys()) & reached <= owners
    assert {mailbox.local for mailbox in found.nowhere} == reached - mailboxes - aliases.keys()
