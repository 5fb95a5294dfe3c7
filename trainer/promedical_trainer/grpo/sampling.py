"""How the policy answers: the same in training and on held-out prompts, before and after."""

from typing import Any, Final

from transformers import GenerationConfig, PreTrainedTokenizerBase

from promedical_trainer.grpo.recipe import Generation

WHOLE: Final[dict[str, Any]] = {"top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
"""The whole distribution: tokens are drawn as the policy says, whatever its own generation config cuts away."""


def sampling(settings: Generation, model: Any, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """The generation that TRL's trainer makes of the same settings.

    An answer ends at every token that ends one by the model's generation config, or by the tokenizer.
    """
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=settings.max_tokens,
        do_sample=True,
        temperature=settings.temperature,
        eos_token_id=_ends(model.generation_config.eos_token_id, tokenizer.eos_token_id),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        **WHOLE,
    )


def _ends(of_model: int | list[int] | None, of_tokenizer: Any) -> list[int]:
    known = [of_model] if isinstance(of_model, int) else of_model or []
    return list(dict.fromkeys([of_tokenizer, *known]))
