"""Physicians, a coordinator and a real browser: the loop of a rubric round, answers rated blind, and nothing lost."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from promedical_data.rounds.files import read_decisions, write_round
from promedical_review.bench_items.sets import BenchSets
from promedical_review.rubric_rounds.rounds import Rounds
from review_browsers import person, pressed, ready, violations
from review_clinic import PEOPLE, Clinic, bench_set, open_clinic
from reviewing import rows_in, rubric

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> [x](javascript:alert(1))"
)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with open_clinic(tmp_path_factory.mktemp("clinic")) as found:
        yield found


def submissions(clinic: Clinic) -> list[dict]:
    return rows_in(clinic.database, "submissions")


def test_round_goes_from_file_to_decisions_through_three_browsers(clinic, tmp_path):
    write_round(tmp_path / "round.jsonl", "loop", [rubric(f"row-{n}") for n in range(3)])
    with ExitStack() as stack:
        boss, ada, ben, cem = (stack.enter_context(clinic.person(name)) for name in ("boss", "ada", "ben", "cem"))
        boss.goto("/rounds")
        boss.set_input_files("#file", tmp_path / "round.jsonl")
        boss.click("form[enctype] button")
        boss.click("text=Open the round")
        for each in (ada, ben, cem):  # all three hold an item at once
            each.goto("/work")
            pressed(each, "n")
            ready(each)
        assert len({each.url for each in (ada, ben, cem)}) == 3
        pressed(ada, "a")
        ben.keyboard.press("r")
        ben.keyboard.type(" And no more.")
        ben.keyboard.press("Escape")
        pressed(ben, "f")
        cem.keyboard.press("x")
        pressed(cem, "3")
        for each in (ada, ben, cem):
            each.goto("/work")
            expect(each.locator(".note.good")).to_be_visible()
        boss.reload()
        boss.on("dialog", lambda dialog: dialog.accept())
        boss.click("text=Close the round")
        expect(boss.locator("h1 .pill")).to_have_text("closed")
        expect(boss.locator(".tile.first .value")).to_have_text("33.3 %")
        with boss.expect_download() as download:
            boss.click("text=Download the decisions")
        download.value.save_as(tmp_path / "decisions.jsonl")
    name, decisions = read_decisions(tmp_path / "decisions.jsonl")
    assert name == "loop"
    assert sorted(each.verdict for each in decisions) == ["accepted", "fixed", "rejected"]
    (fixed,) = (each for each in decisions if each.verdict == "fixed")
    assert fixed.criteria[0].criterion.text.endswith(" And no more.")
    assert [each.reason for each in decisions if each.verdict == "rejected"] == ["not_medical"]
    assert {each.rater for each in decisions}.isdisjoint(PEOPLE)


@pytest.mark.browsers
def test_editor_changes_a_rubric_in_every_way(clinic):
    round_id = clinic.round("editing", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        rows = page.locator(".criterion")
        rows.nth(0).locator("textarea").fill("States that fever needs a doctor and explains when to go.")
        expect(rows.nth(0).locator(".findings")).to_contain_text("several things")
        rows.nth(0).locator("textarea").fill("States that adults take at most 4 g of paracetamol a day.")
        expect(rows.nth(0).locator(".findings li")).to_have_count(0)
        page.click('[data-add="proficiency"]')
        rows.nth(1).locator("textarea").fill("Names liver disease.")
        rows.nth(1).locator('[data-name="weight"]').fill("3")
        expect(rows.nth(1).locator("output")).to_contain_text("0.750")
        rows.nth(1).locator('[data-action="up"]').click()
        rows.nth(2).locator("select").first.select_option("proficiency")
        page.locator(".criterion", has_text="").last.locator('[data-action="remove"]').click()
        expect(page.locator("#changes li")).to_have_count(4)
        expect(page.locator("#net")).to_have_attribute("data-state", "saved")
        pressed(page, "f")
    (decision,) = Rounds(clinic.database).decisions(round_id)
    assert [(each.criterion.text, each.criterion.dimension, each.criterion.weight) for each in decision.criteria] == [
        ("Names liver disease.", "proficiency", 3.0),
        ("States that adults take at most 4 g of paracetamol a day.", "proficiency", None),
        ("The response explains how paracetamol lowers fever", "proficiency", None),
    ]


@pytest.mark.browsers
def test_keys_mean_letters_where_somebody_writes_and_can_be_turned_off(clinic):
    round_id = clinic.round("keys", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        page.keyboard.press("j")
        expect(page.locator(".criterion").nth(1)).to_be_focused()
        page.keyboard.press("k")
        expect(page.locator(".criterion").nth(0)).to_be_focused()
        page.keyboard.press("r")
        page.keyboard.type("jkafx")
        expect(page.locator("textarea").first).to_have_value(
            "The response states that adults take 1 g at most every 6 hoursjkafx"
        )
        page.keyboard.press("Escape")
        page.click("#keys-toggle")
        page.keyboard.press("x")
        expect(page.locator("#reasons")).to_be_hidden()
        page.click("#keys-toggle")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()


@pytest.mark.browsers
def test_draft_survives_a_browser_that_dies(clinic):
    round_id = clinic.round("drafts", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        page.locator("textarea").first.fill("States what I had written.")
        expect(page.locator("#net")).to_have_attribute("data-state", "saved")
        expect(page.locator("#changes li")).to_have_count(1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        expect(page.locator("textarea").first).to_have_value("States what I had written.")


def test_work_without_network_is_kept_shown_and_sent_once_when_it_is_back(clinic):
    round_id = clinic.round("offline", 2)
    before = len(submissions(clinic))
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        page.context.set_offline(True)
        page.locator("textarea").first.fill("States what I wrote on the train.")
        expect(page.locator("#net")).to_have_attribute("data-state", "offline")
        page.locator("textarea").first.press("Escape")
        page.keyboard.press("f")
        expect(page.locator("#kept li")).to_have_count(1)
        expect(page.locator("#say")).to_contain_text("kept in this browser")
        assert len(submissions(clinic)) == before
        with page.expect_navigation():
            page.context.set_offline(False)
        ready(page)
        expect(page.locator("#kept")).to_be_hidden()
    (sent,) = submissions(clinic)[before:]
    assert sent["body"]["criteria"][0]["text"] == "States what I wrote on the train."


def test_answer_that_is_lost_on_the_way_back_is_stored_once(clinic):
    round_id = clinic.round("lost", 1)
    before = len(submissions(clinic))
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        lost = []

        def lose(route) -> None:
            if lost:
                route.continue_()
            else:
                lost.append(route.fetch().status)  # the server has it, and the browser never learns
                route.abort()

        page.route("**/decision", lose)
        page.keyboard.press("a")
        expect(page.locator("#kept li")).to_have_count(1)
        with page.expect_navigation():
            page.evaluate("window.dispatchEvent(new Event('online'))")
    assert lost == [200]
    assert len(submissions(clinic)) == before + 1


@pytest.mark.browsers
def test_two_tabs_on_one_item_show_both_versions_and_lose_none(clinic):
    round_id = clinic.round("tabs", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        with person(clinic.browser, clinic.address, clinic.database, "ada") as other:
            other.goto(page.url)
            ready(other)
            other.locator("textarea").first.fill("States the other version.")
            expect(other.locator("#net")).to_have_attribute("data-state", "saved")
            expect(other.locator("#changes li")).to_have_count(1)
            other.wait_for_function("!Object.keys(localStorage).some(key => key.includes(':draft:'))")
        page.locator("textarea").first.fill("States my version.")
        dialog = page.locator("#conflict")
        expect(dialog).to_be_visible()
        expect(dialog.locator("h2")).to_be_focused()  # so that a narrow screen shows it from the top
        expect(dialog.locator("[data-mine]")).to_contain_text("1. States my version. · Main proficiency · speaks for")
        expect(dialog.locator("[data-theirs]")).to_contain_text("States the other version.")
        dialog.locator("[data-take]").click()
        expect(page.locator("textarea").first).to_have_value("States the other version.")
        page.locator("textarea").first.press("Escape")
        pressed(page, "f")
    (decision,) = Rounds(clinic.database).decisions(round_id)
    assert decision.criteria[0].criterion.text == "States the other version."


@pytest.mark.browsers
def test_session_that_ended_keeps_the_work_until_the_next_sign_in(clinic):
    round_id = clinic.round("ended", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        cookies = page.context.cookies()
        page.context.clear_cookies()
        page.keyboard.press("a")
        expect(page.locator("#net")).to_have_attribute("data-state", "login")
        page.context.add_cookies(cookies)
        with page.expect_navigation():
            page.evaluate("window.dispatchEvent(new Event('online'))")
    assert len(Rounds(clinic.database).decisions(round_id)) == 1


@pytest.mark.browsers
def test_round_that_was_closed_in_the_meantime_refuses_and_keeps_the_draft(clinic):
    round_id = clinic.round("closed", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        page.locator("textarea").first.fill("States what came too late.")
        expect(page.locator("#net")).to_have_attribute("data-state", "saved")
        Rounds(clinic.database).close(round_id, actor="system", incomplete=True)
        page.locator("textarea").first.press("Escape")
        page.keyboard.press("f")
        expect(page.locator("#say")).to_contain_text("draft")
        expect(page.locator("textarea").first).to_have_value("States what came too late.")
    assert any("too late" in str(each["body"]) for each in rows_in(clinic.database, "drafts"))


@pytest.mark.browsers
def test_decision_can_be_corrected_while_the_round_is_open(clinic):
    round_id = clinic.round("corrected", 1)
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        pressed(page, "a")
        page.goto("/work")
        page.locator("section", has_text="corrected").locator("summary").click()
        page.locator("section", has_text="corrected").locator("li a").click()
        ready(page)
        page.locator("textarea").first.fill("States what I overlooked.")
        page.locator("textarea").first.press("Escape")
        pressed(page, "f")
    (decision,) = Rounds(clinic.database).decisions(round_id)
    assert decision.verdict == "fixed"
    assert decision.criteria[0].criterion.text == "States what I overlooked."


@pytest.mark.browsers
def test_script_in_a_round_never_runs(clinic):
    round_id = clinic.round("hostile", 1, instruction=HOSTILE, responses=(("a", HOSTILE), ("b", "**b**")))
    with clinic.person("ada") as page:
        clinic.take(page, round_id)
        for summary in page.locator("summary").all():
            summary.click()
        expect(page.locator("main .answers section")).to_have_count(3)
        page.locator("textarea").first.fill(HOSTILE)
        expect(page.locator("#changes li")).to_have_count(1)
        assert "owned" not in page.title()
        assert page.locator("main :is(script:not([type]), img, [onerror], a[href^=javascript])").count() == 0


@pytest.mark.browsers
def test_answers_are_rated_by_keys_alone_and_conflicts_are_decided(clinic):
    set_id = bench_set(clinic, "bench")
    with ExitStack() as stack:
        ada, ben, judge = (stack.enter_context(clinic.person(name)) for name in ("ada", "ben", "judge"))
        for rater, verdict in ((ada, "1"), (ben, "2")):
            rater.goto("/work")
            rater.click('form[action="/ratings/next"] button')
            ready(rater)
            checkpoints = rater.locator(".criterion").count()
            assert checkpoints == 6
            for _ in range(checkpoints):
                rater.keyboard.press(verdict)
            expect(rater.locator("#left")).to_have_text("Every checkpoint has a verdict")
            pressed(rater, "a")  # criteria + 1 keystrokes
        judge.goto("/work")
        judge.click('form[action="/adjudications/next"] button')
        ready(judge)
        expect(judge.locator(".criterion")).to_have_count(6)
        expect(judge.locator(".opinion strong").first).to_contain_text("Rater 1")
        for row in judge.locator(".criterion").all():
            row.locator("input[value=met]").check()
            row.locator("select").select_option("slip")
        judge.locator("h1").click()
        pressed(judge, "a")
    assert BenchSets(clinic.database).get(set_id).items == {"locked": 1}


@pytest.mark.browsers
def test_selected_words_of_an_answer_become_the_span_of_a_verdict(clinic):
    bench_set(clinic, "spans")
    with clinic.person("cem") as page:
        page.goto("/work")
        page.click('form[action="/ratings/next"] button')
        ready(page)
        shown = page.locator("[data-shown]", has_text="At most")
        answer = shown.get_attribute("data-shown")
        row = page.locator(f'.criterion[data-answer="{answer}"]').first
        row.locator("input[value=met]").check()
        shown.locator("p").evaluate("p => getSelection().setBaseAndExtent(p.firstChild, 3, p.lastChild, 6)")
        row.locator("[data-quote]").click()
        expect(row.locator("blockquote")).to_have_text("most **1 g** every")
        page.locator(".criterion input[value=not_met]").all()[1].check()
        expect(page.locator("#net")).to_have_attribute("data-state", "saved")
        assert violations(page) == []
        page.wait_for_function("!Object.keys(localStorage).some(key => key.includes(':draft:'))")
        page.reload()
        ready(page)
        expect(row.locator("blockquote")).to_have_text("most **1 g** every")
