import { encodeFrame, FrameDecoder } from '../../protocol/index.ts'
import { samples } from '../support/messages.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

const rounds = 15
const roundMs = 40

/** What a node sends most, what it sends first, and the largest thing people send. */
const cases: readonly [string, object][] = [
  ['response, 1 token', { ...samples.response, tokens: [4_711], text: ' the', finish: undefined }],
  [
    'response, 64 tokens',
    {
      ...samples.response,
      tokens: Array.from({ length: 64 }, (_, index) => 1_000 + index),
      text: 'The quick brown fox jumps over the lazy dog. '.repeat(6),
      finish: undefined,
    },
  ],
  [
    'prompt, 8 KiB with accents',
    { ...samples.prompt, messages: [{ role: 'user', content: 'Où est le café ? '.repeat(480) }] },
  ],
]

/** Sums what was decoded, so that nothing can be optimised away. */
let seen = 0

function throughFrames(decoder: FrameDecoder, message: object): void {
  decoder.feed(encodeFrame(message), (frame) => {
    if (frame.ok) seen++
    return true
  })
}

function throughJson(message: object): void {
  if (JSON.parse(Buffer.from(JSON.stringify(message)).toString())) seen++
}

function perSecond(work: () => void): number {
  const start = performance.now()
  let count = 0
  while (performance.now() - start < roundMs) {
    for (let turn = 0; turn < 50; turn++) work()
    count += 50
  }
  return (count * 1_000) / (performance.now() - start)
}

/** Frames encoded and decoded, against JSON and Buffer alone, in turns so that both meet the same noise. */
export async function run(): Promise<BenchRow[]> {
  return cases.map(([name, message]) => {
    const decoder = new FrameDecoder()
    const ours: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < rounds; round++) {
      ours.push(perSecond(() => throughFrames(decoder, message)))
      theirs.push(perSecond(() => throughJson(message)))
    }
    if (seen === 0) throw new Error('nothing was decoded')
    const ratio = median(ours.map((value, index) => value / (theirs[index] ?? Number.NaN)))
    return {
      what: `frames: ${name}, encoded and decoded`,
      ours: median(ours),
      unit: 'messages/s',
      peer: { name: 'JSON and Buffer', value: median(theirs) },
      ratio,
      target: '≥ 0.8',
    }
  })
}
