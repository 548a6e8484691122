import { sampleWorker, type Asked } from './gateway-rig.ts'

const [tiny] = sampleWorker.models
if (!tiny) throw new Error('no model')

/** A mesh of paper in which `tiny` can be offered functions and `plain` cannot. */
export const toolPort = {
  workers: () => [
    {
      ...sampleWorker,
      models: [
        { ...tiny, tools: 'hermes' as const },
        { ...tiny, id: 'plain' },
      ],
    },
  ],
}

/** Text and two calls, in pieces, as a model writes them. */
export function answerCalls(asked: Asked): void {
  for (const text of [
    'Let me see.',
    '\n<tool',
    '_call>\n{"name": "wea',
    'ther", "arguments": {"ci',
    'ty": "Rome"}}',
    '\n</tool_call>\n<tool_call>{"name": "nap"}</tool_call>',
  ])
    asked.say(text)
  asked.finish()
}
