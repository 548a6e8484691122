/** Chat templates that know functions, in the three styles, as small as they can be. */

const listing = '{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}'

export const hermesTemplate =
  "{%- if tools %}{{- '<|im_start|>system\\n' }}" +
  listing +
  "{{- '<|im_end|>\\n' }}{%- endif %}" +
  '{%- for message in messages %}' +
  "{%- if message.role == 'tool' %}" +
  "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}" +
  '{%- else %}' +
  "{{- '<|im_start|>' + message.role + '\\n' + message.content }}" +
  '{%- for call in message.tool_calls or [] %}' +
  '{{- \'\\n<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' }}{{- call.function.arguments | tojson }}{{- \'}\\n</tool_call>\' }}' +
  '{%- endfor %}' +
  "{{- '<|im_end|>\\n' }}" +
  '{%- endif %}{%- endfor %}' +
  "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"

export const llama3Template =
  '{%- for message in messages %}' +
  "{{- '<|im_start|>' + message.role + '\\n' }}" +
  "{%- if message.role == 'user' and tools %}" +
  listing +
  '{%- endif %}' +
  '{%- if message.tool_calls %}' +
  '{%- set call = message.tool_calls[0].function %}' +
  '{{- \'{"name": "\' + call.name + \'", "parameters": \' }}{{- call.arguments | tojson }}{{- \'}\' }}' +
  '{%- else %}{{- message.content }}{%- endif %}' +
  "{{- '<|im_end|>\\n' }}" +
  '{%- endfor %}' +
  "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"

export const mistralTemplate =
  '{{- bos_token }}' +
  "{%- if tools %}{{- '[AVAILABLE_TOOLS]' }}{{- tools | tojson }}{{- '[/AVAILABLE_TOOLS]' }}{%- endif %}" +
  '{%- for message in messages %}' +
  '{%- if message.tool_calls %}' +
  "{{- '[TOOL_CALLS][' }}" +
  '{%- for call in message.tool_calls %}' +
  "{%- if call.id | length != 9 %}{{- raise_exception('ids have nine characters') }}{%- endif %}" +
  '{{- \'{"name": "\' + call.function.name + \'", "arguments": \' }}{{- call.function.arguments | tojson }}{{- \', "id": "\' + call.id + \'"}\' }}' +
  "{%- if not loop.last %}{{- ', ' }}{%- endif %}" +
  "{%- endfor %}{{- ']' + eos_token }}" +
  "{%- elif message.role == 'tool' %}{{- '[TOOL_RESULTS]' + message.content + '[/TOOL_RESULTS]' }}" +
  "{%- elif message.role == 'user' %}{{- '[INST]' + message.content + '[/INST]' }}" +
  '{%- else %}{{- message.content + eos_token }}{%- endif %}' +
  '{%- endfor %}'

export const toolTemplates = {
  hermes: hermesTemplate,
  llama3: llama3Template,
  mistral: mistralTemplate,
} as const
