"""A browser whose storage is full or switched off: the app says so, and loses nothing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Dialog, Page, expect

from promedical_review.rubric_rounds.rounds import Rounds
from review_browsers import pressed, ready, violations
from review_clinic import Clinic, open_clinic
from reviewing import rows_in

pytestmark = pytest.mark.browsers

FILL = """() => {
  let piece = 'x'.repeat(1 << 20);
  for (let at = 0; piece.length; at += 1) {
    try { localStorage.setItem(`other-${at}`, piece); } catch { piece = piece.slice(0, piece.length >> 1); }
  }
}"""
SWITCHED_OFF = """Object.defineProperty(window, 'localStorage', {
  get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); },
});"""
"""What Chromium does where a user or a policy forbids sites to store data."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with open_clinic(tmp_path_factory.mktemp("clinic")) as found:
        yield found


def without_storage(page: Page, kind: str) -> None:
    """Fill the storage, or switch it off for the pages that follow."""
    if kind == "full":
        page.goto("/work")
        page.evaluate(FILL)
    else:
        page.add_init_script(SWITCHED_OFF)


@pytest.mark.parametrize("kind", ["full", "off"])
def test_draft_and_decision_are_stored_without_the_browsers_storage(clinic, kind):
    round_id = clinic.round(f"storage-{kind}", 1)
    with clinic.person("ada") as page:
        without_storage(page, kind)
        clinic.take(page, round_id)
        page.locator("textarea").first.fill("States what no storage took.")
        expect(page.locator("#unkept")).to_contain_text("cannot keep your work")
        assert violations(page) == []
        expect(page.locator("#changes li")).to_have_count(1)
        expect(page.locator("#net")).to_have_attribute("data-state", "saved")
        page.reload()
        ready(page)
        expect(page.locator("textarea").first).to_have_value("States what no storage took.")
        page.locator("textarea").first.press("Escape")
        pressed(page, "f")
    (decision,) = Rounds(clinic.database).decisions(round_id)
    assert decision.criteria[0].criterion.text == "States what no storage took."


@pytest.mark.parametrize("kind", ["full", "off"])
def test_work_without_network_and_storage_is_sent_later_and_nobody_leaves_unasked(clinic, kind):
    round_id = clinic.round(f"offline-{kind}", 2)
    before = len(rows_in(clinic.database, "submissions"))
    asked = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    with clinic.person("ada") as page:
        page.on("dialog", stay)
        without_storage(page, kind)
        clinic.take(page, round_id)
        page.context.set_offline(True)
        page.locator("textarea").first.fill("States what I wrote on the train.")
        page.locator("textarea").first.press("Escape")
        page.keyboard.press("f")
        expect(page.locator("#kept li")).to_have_count(1)
        page.locator("nav a").first.click(no_wait_after=True)
        expect(page.locator("#kept li")).to_have_count(1)
        assert asked == ["beforeunload"]
        with page.expect_navigation():
            page.context.set_offline(False)
        ready(page)
    (sent,) = rows_in(clinic.database, "submissions")[before:]
    assert sent["body"]["criteria"][0]["text"] == "States what I wrote on the train."


def test_keys_work_without_the_browsers_storage(clinic):
    round_id = clinic.round("keys", 1)
    with clinic.person("ada") as page:
        without_storage(page, "off")
        clinic.take(page, round_id)
        page.click("#keys-toggle")
        expect(page.locator("#keys-toggle")).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_hidden()
        page.click("#keys-toggle")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
