"""What makes a folder of weights a language model for plain transformers and TRL: how it ends, pads and is spoken to.

The service reads none of these files: they change no score.
"""

import json
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from promedical_model.rendering.template import Template

_TOKENIZER, _GENERATION, _CHAT = "tokenizer_config.json", "generation_config.json", "chat_template.jinja"
GENERATION_FILES: Final = frozenset({_TOKENIZER, _GENERATION, _CHAT})
_KINDS: Final = ("bos", "eos", "pad", "unk")
_PLAIN: Final = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}


def chat_template(template: Template) -> str:
    """The turns of a template as a chat template of transformers; a model that answers begins its own turn."""
    head, _, tail = template.turn.partition("{content}")
    before, after = map(json.dumps, head.split("{role}"))
    turn = f"{before} + message['role'] + {after} + message['content'] + {json.dumps(tail + template.between)}"
    answer = json.dumps(head.replace("{role}", "assistant"))
    return (
        f"{{{{ {json.dumps(template.begin)} }}}}"
        f"{{% for message in messages %}}{{{{ {turn} }}}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {answer} }}}}{{% endif %}}"
    )


def write_generation_files(folder: Path, template: Template) -> None:
    """Write the files beside `config.json` and `tokenizer.json`, whose special tokens they name."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = {kind: config[f"{kind}_token_id"] for kind in _KINDS if config.get(f"{kind}_token_id") is not None}
    tokens = {f"{kind}_token": vocabulary.id_to_token(number) for kind, number in ids.items()}
    of_generation = {f"{kind}_token_id": number for kind, number in ids.items() if kind != "unk"}
    _write(folder / _TOKENIZER, _PLAIN | tokens | {"model_max_length": config["max_position_embeddings"]})
    _write(folder / _GENERATION, of_generation)
    (folder / _CHAT).write_text(chat_template(template), encoding="utf-8")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
