"""Writes chat.json: conversations rendered by transformers' `apply_chat_template`.

    python crates/policy/tests/parity/chat.py

The templates are written for this test in the manner of three families: Qwen2.5 (a default system
turn), Qwen3 (reasoning cut out of earlier turns, namespaces, a switch for thinking) and Llama 3
(a beginning of text, a date, roles in headers), and one of odds and ends.
"""

import json
import pathlib

import transformers
from transformers import PreTrainedTokenizerFast
from tokenizers import Tokenizer, models

QWEN25 = """
{%- if messages and messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- set turns = messages[1:] %}
{%- else %}
    {{- '<|im_start|>system\\nRecommend from the shelf.<|im_end|>\\n' }}
    {%- set turns = messages %}
{%- endif %}
{%- for turn in turns %}
    {%- if (turn.role == "user") or (turn.role == "assistant" and not turn.tool_calls) %}
        {{- '<|im_start|>' ~ turn.role ~ '\\n' ~ turn.content ~ '<|im_end|>' ~ '\\n' }}
    {%- else %}
        {{- raise_exception('a turn of ' + turn.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
QWEN3 = """
{%- set state = namespace(last=messages|length - 1, found=false) %}
{%- for turn in messages[::-1] %}
    {%- set at = (messages|length - 1) - loop.index0 %}
    {%- if not state.found and turn.role == "user" and turn.content is string and not (turn.content.startswith('<result>') and turn.content.endswith('</result>')) %}
        {%- set state.found = true %}
        {%- set state.last = at %}
    {%- endif %}
{%- endfor %}
{%- for turn in messages %}
    {%- if turn.content is string %}
        {%- set content = turn.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if turn.role in ['user', 'system'] %}
        {{- '<|im_start|>' + turn.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif turn.role == "assistant" %}
        {%- set thoughts = '' %}
        {%- if turn.reasoning_content is defined and turn.reasoning_content is not none %}
            {%- set thoughts = turn.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thoughts = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > state.last and (loop.last or thoughts) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
LLAMA3 = """{{- bos_token }}
{%- if not date is defined %}
    {%- set date = "1 Jan 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today: " + date + "\\n\\n" + system + eos_token }}
{%- for turn in messages %}
    {%- if not (turn.role == 'ipython' or 'tool_calls' in turn) %}
        {% generation %}
        {{- '<|start_header_id|>' + turn['role'] + '<|end_header_id|>\\n\\n'+ turn['content'] | trim + eos_token }}
        {% endgeneration %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
ODDS = """
{% macro framed(text) %}
    [{{ text | upper }}]
{% endmacro %}
{% for turn in messages %}
    {% if loop.index > 3 %}
        {% break %}
    {% endif %}
    {% if turn.role == 'system' %}
        {% continue %}
    {% endif %}
{{ loop.index }}. {{ turn | tojson }}
    {{ framed(turn.role) }}{{ {"a": [1, 2.5, none, true], "b": {}} | tojson }}
{{- {"text": turn.content, "list": []} | tojson(indent=2) }}
    {% for key, value in turn.items() %}{{ key }}={{ value | length }}{{ "," if not loop.last }}{% endfor %}
{{ turn.get('name', 'nobody') }} {{ turn.content.replace('a', 'o').title() }} {{ (turn.content | list)[-1:] | join }}
{% endfor %}
{{- tone if tone is defined else 'plain' }} {{ pad_token }} {{ missing }}
"""

SYSTEM = {"role": "system", "content": "  Be brief.\n"}
USER = {"role": "user", "content": "Bought <a_1><b_2> & 'tea' für \"zwei\".\nNext?"}
THOUGHT = {"role": "assistant", "content": "<think>\nA user of tea.\n</think>\n\n<a_3><b_0>"}
PLAIN = {"role": "assistant", "content": "<a_0><b_0>"}
RESULT = {"role": "user", "content": "<result>sold</result>"}
CASES = [
    ("qwen2.5", [USER], True, {}),
    ("qwen2.5", [SYSTEM, USER, PLAIN, USER], True, {}),
    ("qwen2.5", [SYSTEM, USER, PLAIN], False, {}),
    ("qwen3", [SYSTEM, USER], True, {}),
    ("qwen3", [USER], True, {"enable_thinking": False}),
    ("qwen3", [USER], True, {"enable_thinking": True}),
    ("qwen3", [USER, THOUGHT, USER], True, {}),
    ("qwen3", [USER, THOUGHT, RESULT, PLAIN], False, {}),
    ("qwen3", [SYSTEM, USER, THOUGHT], False, {}),
    ("llama3", [SYSTEM, USER, PLAIN, USER], True, {}),
    ("llama3", [USER], True, {"date": "26 Jul 2024"}),
    ("odds", [USER, SYSTEM, PLAIN, USER], False, {}),
    ("odds", [USER], True, {"tone": "warm"}),
]

if __name__ == "__main__":
    templates = {"qwen2.5": QWEN25, "qwen3": QWEN3, "llama3": LLAMA3, "odds": ODDS}
    special = {"bos_token": "<s>", "eos_token": "<|eot|>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **special)
    cases = []
    for name, messages, add_generation_prompt, variables in CASES:
        text = tokenizer.apply_chat_template(
            messages, chat_template=templates[name], tokenize=False,
            add_generation_prompt=add_generation_prompt, **variables,
        )
        cases.append({
            "template": name, "messages": messages, "variables": variables, "text": text,
            "add_generation_prompt": add_generation_prompt,
        })
    out = {
        "made_by": f"transformers {transformers.__version__}",
        "special": special, "templates": templates, "cases": cases,
    }
    target = pathlib.Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(out, ensure_ascii=False, indent=1) + "\n")
