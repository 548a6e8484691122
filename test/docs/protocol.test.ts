import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import {
  ackSchema,
  cancelSchema,
  chatMessageSchema,
  effortSchema,
  finishSchema,
  healthStates,
  finishReasons,
  helloSchema,
  inferenceErrorSchema,
  inferenceMessageTypes,
  inferenceNetwork,
  modelAdSchema,
  pingSchema,
  pongSchema,
  promptSchema,
  protocolVersion,
  queueStatusSchema,
  responseSchema,
  resumeModes,
  resumeSchema,
  samplingSchema,
  statusSchema,
  toolCallSchema,
  toolSchema,
  toolStyles,
} from '../../protocol/index.ts'
import { inferenceProtocol } from '../../actors/peer/inference-channel.ts'

const text = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8')

/** The text under a heading, up to the next heading of the same depth or a higher one. */
function section(heading: string): string {
  const lines = text.split('\n')
  const start = lines.indexOf(heading)
  expect(start, `there is no heading "${heading}"`).toBeGreaterThanOrEqual(0)
  const depth = heading.indexOf(' ')
  const length = lines.slice(start + 1).findIndex((line) => /^#+ /.test(line) && line.indexOf(' ') <= depth)
  return lines.slice(start, length === -1 ? undefined : start + 1 + length).join('\n')
}

const schemas: readonly [string, z.ZodObject][] = [
  ['### `hello`', helloSchema],
  ['### `status`', statusSchema],
  ['### Effort', effortSchema],
  ['### `prompt`', promptSchema],
  ['### `queue-status`', queueStatusSchema],
  ['### `response`', responseSchema],
  ['### `ack`', ackSchema],
  ['### `cancel`', cancelSchema],
  ['### `ping`', pingSchema],
  ['### `pong`', pongSchema],
  ['### Resume', resumeSchema],
  ['### `inference_error`', inferenceErrorSchema],
  ['### Model advertisement', modelAdSchema],
  ['### Chat message', chatMessageSchema],
  ['### Tool call', toolCallSchema],
  ['### Tool', toolSchema],
  ['### Sampling', samplingSchema],
  ['### Finish', finishSchema],
]

const fieldsOf = (body: string): string[] =>
  [...body.matchAll(/^\| `(\w+)`/gm)].flatMap(([, name]) => name ?? [])

describe('docs/PROTOCOL.md', () => {
  test.each(schemas)('%s lists exactly the fields of its schema', (heading, schema) => {
    const names = Object.keys(schema.shape).filter((name) => name !== 'type')
    expect(fieldsOf(section(heading)).toSorted()).toEqual(names.toSorted())
  })

  test.each(schemas)('%s says which of its fields are required', (heading, schema) => {
    const rows = section(heading).split('\n')
    const stated = fieldsOf(rows.filter((line) => /\| yes +\|/.test(line)).join('\n'))
    const required = Object.entries<z.ZodType>(schema.shape)
      .filter(([name, field]) => name !== 'type' && !field.safeParse(undefined).success)
      .map(([name]) => name)
    expect(stated.toSorted()).toEqual(required.toSorted())
  })

  test('has a section for every message type', () => {
    for (const type of inferenceMessageTypes) expect(section(`### \`${type}\``)).not.toBe('')
  })

  test('names the version, the network, the channel and every value of the enumerations', () => {
    expect(text).toContain(`protocol version **${protocolVersion}**`)
    for (const name of [inferenceNetwork, inferenceProtocol]) expect(text).toContain(`\`${name}\``)
    for (const state of healthStates) expect(section('### `status`')).toContain(`\`${state}\``)
    for (const style of toolStyles) expect(section('### Calls of functions')).toContain(`\`${style}\``)
    for (const mode of resumeModes) expect(section('### Resume')).toContain(`\`${mode}\``)
    for (const reason of finishReasons) expect(section('### Finish')).toContain(`\`${reason}\``)
  })
})
