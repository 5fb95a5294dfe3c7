"""A base's folder is a whole language model for plain transformers, and its revision is that of what is scored by."""

import json
import shutil

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from models import tiny_bundle, tiny_tokenizer
from promedical_model.bundle.bundle import open_bundle
from promedical_model.bundle.generation_files import GENERATION_FILES, chat_template, write_generation_files
from promedical_model.bundle.manifest import MANIFEST_FILE
from promedical_model.rendering.template import CHATML, LLAMA3

TURNS = [{"role": "user", "content": 'Is "4 g" safe?\n'}, {"role": "assistant", "content": "{{ Yes }}"}]


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundle", "llama")


@pytest.mark.parametrize("template", [CHATML, LLAMA3], ids=lambda template: template.name)
def test_chat_template_writes_turns_as_the_oracle_reads_them(bundle, template):
    write_generation_files(bundle, template)
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    written = template.between.join(template.turn.format(**turn) for turn in TURNS)
    text = tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert text == template.begin + written + template.between
    asked = tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    assert asked == text + template.turn.format(role="assistant", content="TEXT").partition("TEXT")[0]


def test_template_of_chatml_is_that_of_models_which_have_it():
    assert "<|im_start|>assistant\\n" in chat_template(CHATML)


def test_folder_says_how_answers_end_and_what_pads(bundle):
    write_generation_files(bundle, CHATML)
    tokenizer, model = AutoTokenizer.from_pretrained(bundle), AutoModelForCausalLM.from_pretrained(bundle)
    config = json.loads((bundle / "config.json").read_text())
    for kind in ("bos", "eos", "pad"):
        expected = config[f"{kind}_token_id"]
        assert getattr(tokenizer, f"{kind}_token_id") == expected
        assert getattr(model.generation_config, f"{kind}_token_id") == expected
    assert tokenizer.model_max_length == config["max_position_embeddings"]
    text = "Take 500 mg, see a doctor."
    assert tokenizer(text)["input_ids"] == tiny_tokenizer().encode(text).ids


def test_revision_of_a_described_bundle_leaves_out_what_only_generation_reads(bundle):
    before = open_bundle(str(bundle)).revision
    write_generation_files(bundle, CHATML)
    assert {path.name for path in bundle.iterdir()} >= GENERATION_FILES
    assert open_bundle(str(bundle)).revision == before


def test_revision_of_a_plain_folder_stays_the_hash_of_all_its_files(bundle, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(bundle, plain)
    (plain / MANIFEST_FILE).unlink()
    before = open_bundle(str(plain)).revision
    write_generation_files(plain, CHATML)
    assert open_bundle(str(plain)).revision != before
