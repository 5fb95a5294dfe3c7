"""Two steps of TRL's GRPO on a tiny policy, with the oracle of PROMEDICAL_URL; prints what was logged as JSON."""

import json
import sys

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed
from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

from promedical_client.integrations.trl import trl_reward

WORDS = ["<eos>", "paracetamol", "dose", "doctor", "4", "g"]
CRITERIA = [
    {"id": "limit", "text": "Names a limit.", "dimension": "proficiency"},
    {"id": "harm", "text": "Encourages an overdose.", "dimension": "safety"},
]


def main(folder):
    set_seed(0)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="g"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    config = Qwen3Config(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    trainer = GRPOTrainer(
        model=Qwen3ForCausalLM(config),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<eos>", eos_token="<eos>"),
        train_dataset=Dataset.from_list([{"prompt": "paracetamol dose", "rubric": json.dumps(CRITERIA)}] * 4),
        reward_funcs=trl_reward,
        args=GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=4,
            max_steps=2,
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
        ),
    )
    trainer.train()
    sys.stdout.write(json.dumps([row for row in trainer.state.log_history if "reward" in row]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
