"""Every page and dialog in a real browser: nothing that axe finds, and no wider than the screen; and admins at work."""

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page, expect

from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.reading import items_of
from promedical_review.bench_items.sets import BenchSets
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.work.exclusions import Exclusions
from review_browsers import SCREEN, person, ready, violations, wider_than_the_screen
from review_clinic import Clinic, bench_set, open_clinic, rate
from reviewing import adjudication, rows_in, uuid4

pytestmark = pytest.mark.browsers

WIDTHS = (1280, 320)
Found = dict[str, list[str]]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with open_clinic(tmp_path_factory.mktemp("clinic")) as found:
        yield found


def look(page: Page, name: str, found: Found) -> None:
    """Note what is wrong with what a page shows now, wide and narrow."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        beyond = wider_than_the_screen(page)
        found[f"{name} at {width}"] = violations(page) + [f"{beyond} pixels beyond the screen"] * (beyond > 0)
    page.set_viewport_size(SCREEN)


def wrong(found: Found) -> Found:
    return {name: each for name, each in found.items() if each}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_coordinators_are_accessible_and_fit_a_narrow_screen(clinic, scheme):
    round_id = clinic.round(f"coordinators-{scheme}", 1)
    set_id = bench_set(clinic, f"coordinators-{scheme}", 2)
    rate(clinic, set_id)
    first, second = items_of(clinic.database, set_id)
    corrected = clinic.corrected(first, "States a dose in grams.")
    ada = Users(clinic.database).named("ada").id
    Exclusions(clinic.database).add(ada, second.ids.id, "wrote the answer", actor="system")
    of_set = f"/bench/{set_id}"
    paths = ["/rounds", f"/rounds/{round_id}", "/bench", of_set, f"{of_set}/agreement", f"{of_set}/items"]
    paths += [f"{of_set}/items/{each}" for each in (first.ids.id, corrected, second.ids.id)]
    found: Found = {}
    with clinic.person("boss", color_scheme=scheme) as boss:
        for path in [*paths, "/users", f"/users/{ada}/exclusions", "/help", "/nothing"]:
            boss.goto(path)
            for summary in boss.locator("summary").all():
                summary.click()
            look(boss, path, found)
    with person(clinic.browser, clinic.address, color_scheme=scheme) as nobody:
        nobody.goto("/login")
        look(nobody, "/login", found)
    assert wrong(found) == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_physicians_are_accessible_and_fit_a_narrow_screen(clinic, scheme):
    round_id = clinic.round(f"physicians-{scheme}", 1)
    bench_set(clinic, f"conflicts-{scheme}", 2)
    disagree(clinic)
    bench_set(clinic, f"physicians-{scheme}", 2)
    found: Found = {}
    with clinic.person("ada", color_scheme=scheme) as ada, clinic.person("judge", color_scheme=scheme) as judge:
        for path in ("/work", "/work?none=1", "/help"):
            ada.goto(path)
            look(ada, path, found)
        for page, name in ((ada, "ratings"), (judge, "adjudications")):
            page.goto("/work")
            page.click(f'form[action="/{name}/next"] button')
            ready(page)
            look(page, name, found)
            page.locator(".criterion [data-write]").first.click()
            page.locator(".criterion textarea").first.fill("It says so.")
            look(page, f"{name} with a rationale", found)
        clinic.take(ada, round_id)
        look(ada, "a rubric", found)
        for opener, dialog in (("x", "#reasons"), ("?", "#keys")):
            ada.keyboard.press(opener)
            expect(ada.locator(dialog)).to_be_visible()
            look(ada, dialog, found)
            ada.keyboard.press("Escape")
        meet_another_version(clinic, ada)
        look(ada, "two versions", found)
    assert wrong(found) == {}


def disagree(clinic: Clinic) -> None:
    """Two raters say the opposite of what is left in all sets."""
    rating = Rating(clinic.database)
    for name, verdict in (("ben", "met"), ("cem", "not_met")):
        rater = Users(clinic.database).named(name)
        while item := rating.take(rater):
            said = [{"answer": a, "criterion": c, "verdict": verdict, "rationale": "So."} for a, c in item.checkpoints]
            rating.rate(rater, item.task_id, {"verdicts": said}, client_id=uuid4(), version=item.version)


def meet_another_version(clinic: Clinic, page: Page) -> None:
    """Write a draft over one that another tab has saved."""
    with clinic.person("ada") as other:
        other.goto(page.url)
        ready(other)
        other.locator("textarea").first.fill("States the other version.")
        expect(other.locator("#net")).to_have_attribute("data-state", "saved")
    page.locator("textarea").first.fill("States my version.")
    expect(page.locator("#conflict")).to_be_visible()


def test_admin_corrects_a_locked_item_by_keyboard_and_takes_the_benchmark_out(clinic, tmp_path):
    set_id = bench_set(clinic, "errata")
    rate(clinic, set_id)
    with clinic.person("boss") as boss:
        boss.on("dialog", lambda dialog: dialog.accept())
        boss.goto(f"/bench/{set_id}")
        boss.get_by_role("link", name="Items").press("Enter")
        boss.get_by_role("link", name="errata-0").press("Enter")
        boss.get_by_label("dose").fill("The response states that adults take 1 g at most 4 times a day")
        boss.get_by_label("What was wrong").fill("The interval is not needed.")
        boss.keyboard.press("Tab")
        boss.keyboard.press("Enter")
        expect(boss.locator("#rescore + p")).to_have_text("What was wrong: The interval is not needed.")
        expect(boss.locator("section.note li")).to_have_text(["Answer a · dose", "Answer b · dose"])
        expect(boss.locator("h1 .pill")).to_have_text("With raters")
        boss.get_by_role("link", name="older version").click()
        expect(boss.locator("h1 .pill")).to_have_text("Replaced by errata")
        rate(clinic, set_id)
        boss.goto(f"/bench/{set_id}")
        with boss.expect_download() as download:
            boss.click("text=Download the benchmark")
        download.value.save_as(tmp_path / "bench.zip")
    with zipfile.ZipFile(tmp_path / "bench.zip") as packed:
        assert "4 times a day" in packed.read("bench.jsonl").decode()
        assert {"verdicts.csv", "finals.csv", "pairs.csv", "agreement.csv"} < set(packed.namelist())


def test_admin_excludes_a_physician_who_holds_the_item(clinic):
    round_id = clinic.round("excluded", 1)
    with ExitStack() as stack:
        boss, ada, ben = (stack.enter_context(clinic.person(name)) for name in ("boss", "ada", "ben"))
        clinic.take(ada, round_id)
        boss.on("dialog", lambda dialog: dialog.accept())
        boss.goto("/users")
        boss.get_by_role("row", name="ada").get_by_role("link", name="Exclusions").press("Enter")
        boss.get_by_label("Set or round").select_option("Round excluded")
        boss.get_by_label("Id in the imported file").fill("excluded-0")
        boss.get_by_label("Reason").fill("wrote the answer")
        boss.keyboard.press("Tab")
        boss.keyboard.press("Enter")
        expect(boss.get_by_role("row", name="excluded-0")).to_contain_text("wrote the answer")
        ada.locator("textarea").first.fill("States what came too late.")
        ada.locator("textarea").first.press("Escape")
        ada.keyboard.press("f")
        expect(ada.locator("#say")).to_contain_text("not yours any more")
        clinic.take(ben, round_id)
    assert any("too late" in str(each["body"]) for each in rows_in(clinic.database, "drafts"))
    assert Rounds(clinic.database).decisions(round_id) == []


def test_corrected_item_is_never_adjudicated_by_who_saw_its_raters(clinic):
    set_id = bench_set(clinic, "adjudicated")
    disagree(clinic)
    judge = Users(clinic.database).named("judge")
    adjudicating = Adjudicating(clinic.database)
    while work := adjudicating.take(judge):
        adjudicating.decide(judge, work.item.task_id, adjudication(work), client_id=uuid4(), version=0)
    assert BenchSets(clinic.database).get(set_id).items == {"locked": 1}
    (item,) = items_of(clinic.database, set_id)
    clinic.corrected(item, "States a dose in grams.")
    with clinic.person("boss") as boss:
        boss.goto(f"/users/{judge.id}/exclusions")
        expect(boss.get_by_role("row", name="adjudicated-0")).to_contain_text("knows an earlier version")
