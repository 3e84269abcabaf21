"""People as users of the machine, and the folders of their shares: made, and never taken away."""

from __future__ import annotations

from hypothesis import given

from desired_state.scalars import RESERVED_IDS, SYSTEM_USERS
from renderers import APPLIANCE, accounts
from renderers.plan import Command, Fill, Folder
from tests.desired_state.households import households
from tests.renderers.homes import BENCH, holm, plain

homes = households().filter(lambda home: home.files is not None)


def lines(home, path):
    """Return what one of the files says, without comments."""
    return [line for line in accounts.render(home, APPLIANCE)[path].decode().splitlines() if not line.startswith("#")]


@given(homes)
def test_each_person_is_a_user_and_nobody_else_is(home):
    """One line for each, and one group; no shell, no home, no password, no number of ours."""
    group, *users = lines(home, accounts.SYSUSERS)
    assert group == "g _hearth - -"
    assert {user.split(" ")[1] for user in users} == set(home.people)
    assert {user.split(" ", 2)[2] for user in users} <= {'- "A person of this home" - -'}


@given(homes)
def test_folders_are_made_and_nothing_is_ever_removed(home):
    """`d` makes a folder and keeps what is in it; only what lies in a recycle folder has an age."""
    told = [line.split(" ") for line in lines(home, accounts.TMPFILES)]
    assert {line[0] for line in told} == {"d"}
    aged = {line[1] for line in told if line[-1] != "-"}
    assert aged == {
        f"/srv/hearth/{name}/.recycle" for name, share in home.files.shares.items() if not share.time_machine
    }
    assert {f"/srv/hearth/{name}" for name in home.files.shares} <= {line[1] for line in told}


@given(homes)
def test_on_a_bench_everyone_has_a_number_of_their_own(home):
    """Samba tells people apart by their numbers: two with one number would enter each other's folders. None is the machine's own."""
    numbers = {accounts.user_number(home, BENCH, person).value for person in home.people}
    assert len(numbers) == len(home.people)
    assert all(20_000 <= int(number) < 50_000 for number in numbers)


def test_a_number_stays_when_someone_else_leaves():
    """On a bench it comes from the id; on an appliance systemd-sysusers keeps it."""
    home = holm()
    fewer = home.model_copy(update={"people": {"mia": home.people["mia"]}})
    assert accounts.user_number(home, BENCH, "mia") == accounts.user_number(fewer, BENCH, "mia")
    assert (accounts.user_number(home, APPLIANCE, "mia").kind, accounts.user_number(home, APPLIANCE, "mia").value) == (
        "uid",
        "mia",
    )


def test_an_appliance_is_told_by_systemds_own_tools():
    """Two commands that change nothing the second time; the folders are watched."""
    people, folders = accounts.provisions(holm(), APPLIANCE)
    assert isinstance(people, Command)
    assert isinstance(folders, Command)
    assert people.command == ("systemd-sysusers", "hearth-home.conf")
    assert folders.command == ("systemd-tmpfiles", "--create", "hearth-home.conf")
    assert folders.makes == ("/srv/hearth/backups", "/srv/hearth/family", "/srv/hearth/media")


def test_a_bench_touches_no_user_and_no_folder_of_the_machine():
    """Its folders lie below its own; who is who stands in two files of its own."""
    made = accounts.provisions(holm(), BENCH)
    assert {type(each) for each in made} == {Folder, Fill}
    assert all(each.path.startswith(("/srv/hearth/", str(BENCH.run))) for each in made)
    assert accounts.render(holm(), BENCH) == {}


def test_a_home_without_shared_folders_has_no_users():
    """No part in the household, no account."""
    assert (accounts.provisions(plain(), APPLIANCE), accounts.render(plain(), APPLIANCE)) == ((), {})


def test_no_person_can_be_called_like_a_user_or_a_group_of_the_daemons():
    """What Debian, Raspberry Pi OS, Samba, avahi and systemd bring; ours has an underscore, which no id has."""
    brought = {
        "avahi",
        "netdev",
        "sambashare",
        "messagebus",
        "systemd-journal",
        "systemd-network",
        "gpio",
        "i2c",
        "spi",
        "rpi",
        "pi",
    }
    assert brought <= SYSTEM_USERS | RESERVED_IDS
    assert "_" in accounts.GROUP
