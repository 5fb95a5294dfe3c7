"""One exchange as the chat templates of many families write it, and as the policy ends it.

Each entry is the prompt up to where the policy answers, and the answer with the tokens around it. `{s}`, `{q}` and
`{a}` stand for the system turn, the question and the answer.
"""

_BOS, _EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
_COMMAND = "<|START_OF_TURN_TOKEN|><|{}_TOKEN|>"

WITH_MARKS = {
    "Qwen": (
        "<|im_start|>system\n{s}<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n",
        "{a}<|im_end|>\n<|endoftext|><|endoftext|>",
    ),
    "Qwen with CRLF": (
        "<|im_start|>system\r\n{s}<|im_end|>\r\n<|im_start|>user\r\n{q}<|im_end|>\r\n<|im_start|>assistant\r\n",
        "{a}<|im_end|>\r\n",
    ),
    "Qwen 3": (
        "<|im_start|>system\n{s}<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n",
        "<think>\nHm.\n</think>\n\n{a}<|im_end|>",
    ),
    "Qwen 3, thinking off": (
        (
            "<|im_start|>system\n{s}<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n"
            "<think>\n\n</think>\n\n"
        ),
        "{a}<|im_end|>",
    ),
    "Phi 4": (
        "<|im_start|>system<|im_sep|>{s}<|im_end|><|im_start|>user<|im_sep|>{q}<|im_end|><|im_start|>assistant<|im_sep|>",
        "{a}<|im_end|>",
    ),
    "Kimi K2": (
        (
            "<|im_system|>system<|im_middle|>{s}<|im_end|><|im_user|>user<|im_middle|>{q}<|im_end|>"
            "<|im_assistant|>assistant<|im_middle|>"
        ),
        "{a}<|im_end|>",
    ),
    "Llama 3": (
        (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{s}<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n{q}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        "{a}<|eot_id|><|finetune_right_pad_id|>",
    ),
    "Llama 4": (
        (
            "<|begin_of_text|><|header_start|>system<|header_end|>\n\n{s}<|eot|><|header_start|>user<|header_end|>\n\n{q}"
            "<|eot|><|header_start|>assistant<|header_end|>\n\n"
        ),
        "{a}<|eot|><|finetune_right_pad|>",
    ),
    "Gemma 4": (
        "<bos><|turn>system\n{s}<turn|>\n<|turn>user\n{q}<turn|>\n<|turn>model\n",
        "<|channel>thought\nHm.<channel|>{a}<turn|>",
    ),
    "Phi 3": (
        "<s><|system|>\n{s}<|end|>\n<|user|>\n{q}<|end|>\n<|assistant|>\n",
        "{a}<|end|><|endoftext|>",
    ),
    "Phi 4 mini": ("<|system|>{s}<|end|><|user|>{q}<|end|><|assistant|>", "{a}<|end|>"),
    "Zephyr": ("<|system|>\n{s}</s>\n<|user|>\n{q}</s>\n<|assistant|>\n", "{a}</s>"),
    "Tülu": ("<|endoftext|><|system|>\n{s}\n<|user|>\n{q}\n<|assistant|>\n", "{a}<|endoftext|>"),
    "GLM 4": ("[gMASK]<sop><|system|>\n{s}<|user|>\n{q}<|assistant|>", "\n{a}<|user|>"),
    "ChatGLM 3": ("[gMASK]sop<|system|>\n {s}<|user|>\n {q}<|assistant|>", "\n {a}"),
    "Falcon 3": ("<|system|>\n{s}\n<|user|>\n{q}\n<|assistant|>\n", "{a}<|endoftext|>"),
    "Mistral": ("<s>[SYSTEM_PROMPT]{s}[/SYSTEM_PROMPT][INST]{q}[/INST]", "{a}</s>"),
    "Magistral": (
        "<s>[SYSTEM_PROMPT]{s}[/SYSTEM_PROMPT][INST]{q}[/INST]",
        "[THINK]Hm.[/THINK]{a}</s>",
    ),
    "Llama 2": ("<s>[INST] <<SYS>>\n{s}\n<</SYS>>\n\n{q} [/INST]", " {a} </s>"),
    "DeepSeek": (f"{_BOS}{{s}}<｜User｜>{{q}}<｜Assistant｜>", f"{{a}}{_EOS}"),
    "DeepSeek R1": (
        f"{_BOS}{{s}}<｜User｜>{{q}}<｜Assistant｜><think>\n",
        f"Hm.\n</think>\n\n{{a}}{_EOS}",
    ),
    "DeepSeek 3.1": (f"{_BOS}{{s}}<｜User｜>{{q}}<｜Assistant｜></think>", f"{{a}}{_EOS}"),
    "gpt-oss": (
        "<|start|>system<|message|>{s}<|end|><|start|>user<|message|>{q}<|end|><|start|>assistant",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{a}<|return|>",
    ),
    "gpt-oss, final": (
        (
            "<|start|>system<|message|>{s}<|end|><|start|>user<|message|>{q}<|end|>"
            "<|start|>assistant<|channel|>final<|message|>"
        ),
        "{a}<|return|>",
    ),
    "Command": (
        (
            f"<BOS_TOKEN>{_COMMAND.format('SYSTEM')}{{s}}<|END_OF_TURN_TOKEN|>"
            f"{_COMMAND.format('USER')}{{q}}<|END_OF_TURN_TOKEN|>{_COMMAND.format('CHATBOT')}"
        ),
        "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>{a}<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
    ),
    "Granite": (
        (
            "<|start_of_role|>system<|end_of_role|>{s}<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>{q}"
            "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"
        ),
        "{a}<|end_of_text|>",
    ),
    "EXAONE": ("[|system|]{s}[|endofturn|]\n[|user|]{q}\n[|assistant|]", "{a}[|endofturn|]"),
    "Seed": (
        "<seed:bos>system\n{s}<seed:eos><seed:bos>user\n{q}<seed:eos><seed:bos>assistant\n",
        "<seed:think>Hm.</seed:think>{a}<seed:eos>",
    ),
    "MiniMax": ("]~!b[]~b]system\n{s}[e~[\n]~b]user\n{q}[e~[\n]~b]ai\n<think>\n", "Hm.\n</think>\n\n{a}[e~["),
    "Nemotron": ("<extra_id_0>System\n{s}\n<extra_id_1>User\n{q}\n<extra_id_1>Assistant\n", "{a}\n"),
    "Nemotron Nano": (
        "<SPECIAL_10>System\n{s}\n<SPECIAL_11>User\n{q}\n<SPECIAL_11>Assistant\n<think>\n",
        "Hm.</think>{a}<SPECIAL_12>",
    ),
    "Apertus": (
        "<s><|system_start|>{s}<|system_end|><|user_start|>{q}<|user_end|><|assistant_start|>",
        "{a}<|assistant_end|>",
    ),
    "Jamba": (
        "<|startoftext|><|bom|><|system|> {s}<|eom|><|bom|><|user|> {q}<|eom|><|bom|><|assistant|> ",
        "{a}<|eom|>",
    ),
    "Kimi with names": (
        (
            "<|im_system|>system<|im_middle|>{s}<|im_end|><|im_user|>Bo Li<|im_middle|>{q}<|im_end|>"
            "<|im_assistant|>Kimi<|im_middle|>"
        ),
        "{a}<|im_end|>[EOS]",
    ),
    "Granite 4": (
        (
            "<|start_of_role|>system<|end_of_role|>{s}<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>{q}"
            '<|end_of_text|>\n<|start_of_role|>assistant {{"length": "long"}}<|end_of_role|>'
        ),
        "{a}<|end_of_text|>",
    ),
    "EXAONE 4": (
        "[|system|]\n{s}[|endofturn|]\n[|user|]\n{q}[|endofturn|]\n[|assistant|]\n<think>\n",
        "Hm.\n</think>\n\n{a}[|endofturn|]",
    ),
    "K-EXAONE": (
        "<|system|>\n{s}<|endofturn|>\n<|user|>\n{q}<|endofturn|>\n<|assistant|>\n<think>\n\n</think>\n\n",
        "{a}<|endofturn|>",
    ),
    "HyperCLOVA": (
        "<|im_start|>system\n{s}<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n",
        "{a}<|im_end|><|endofturn|><|stop|>",
    ),
    "Seed, with a budget": (
        "<seed:bos>system\n{s}<seed:eos><seed:bos>user\n{q}<seed:eos><seed:bos>assistant\n",
        "<seed:think>Hm.<seed:cot_budget_reflect>12 left</seed:cot_budget_reflect></seed:think>{a}<seed:eos>",
    ),
    "Command A": (
        (
            f"<BOS_TOKEN>{_COMMAND.format('SYSTEM')}{{s}}<|END_OF_TURN_TOKEN|>"
            f"{_COMMAND.format('USER')}{{q}}<|END_OF_TURN_TOKEN|>{_COMMAND.format('CHATBOT')}<|START_THINKING|>"
        ),
        "Hm.<|END_THINKING|><|START_TEXT|>{a}<|END_TEXT|><|END_OF_TURN_TOKEN|>",
    ),
    "Apriel": (
        "<|system|>\n{s}\n<|end|>\n<|user|>\n{q}\n<|end|>\n<|assistant|>\nHere are my reasoning steps:\n",
        "Hm.\n[BEGIN FINAL RESPONSE]\n{a}\n[END FINAL RESPONSE]\n<|end|>",
    ),
    "GLM 4.5V": (
        "[gMASK]<sop><|system|>\n{s}<|user|>\n{q}<|assistant|>\n<think>",
        "Hm.</think>\n<|begin_of_box|>{a}<|end_of_box|><|user|>",
    ),
}
"""Families whose turns begin with marks, so that one text with prompt and answer can be split."""
WITH_WORDS = {
    "DeepSeek 2": (f"{_BOS}{{s}}\n\nUser: {{q}}\n\nAssistant:", f" {{a}}{_EOS}"),
    "R1-Zero": ("{s} User: {q} Assistant: <think>", "Hm.</think> <answer>{a}</answer>"),
    "OpenChat": (
        "<s>GPT4 Correct System: {s}<|end_of_turn|>GPT4 Correct User: {q}<|end_of_turn|>GPT4 Correct Assistant:",
        " {a}<|end_of_turn|>",
    ),
    "Alpaca": ("{s}\n\n### Instruction:\n{q}\n\n### Response:\n", "{a}</s>"),
    "Vicuna": ("{s} USER: {q} ASSISTANT:", " {a}</s>"),
    "LongCat": (
        "SYSTEM:{s} [Round 0] USER:{q} ASSISTANT:",
        "<longcat_think>Hm.</longcat_think>{a}</longcat_s>",
    ),
    "Qwen, decoded without its marks": ("system\n{s}\nuser\n{q}\nassistant\n", "{a}"),
    "Ernie": ("<|begin_of_sentence|>{s}\nUser: {q}\nAssistant: ", "{a}<|end_of_sentence|>"),
    "Grok 2": ("System: {s}<|separator|>\n\nHuman: {q}<|separator|>\n\nAssistant:", " {a}<|separator|>"),
    "Solar": ("### System:\n{s}\n\n### User:\n{q}\n\n### Assistant:\n", "{a}</s>"),
}
"""Families whose turns begin with words, which are understood where a prompt ends with the assistant's."""
FAMILIES = WITH_MARKS | WITH_WORDS


def rendered(family, *, system, question, answer):
    """The prompt and the answer as this family writes them."""
    return tuple(text.format(s=system, q=question, a=answer) for text in FAMILIES[family])
