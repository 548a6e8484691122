/** What the comments of a streamed answer tell. */
export type StreamNote =
  | { readonly type: 'place'; readonly position: number; readonly etaMs: number }
  | { readonly type: 'handover'; readonly from: string; readonly to: string; readonly gapMs: number }
  | { readonly type: 'worker'; readonly workerId: string }

const place = /^place in the queue: (\d+), about (\d+) ms to go$/
const handover =
  /^continued on another worker: from ([0-9a-f]+) to ([0-9a-f]+) after \d+ tokens and (\d+) ms /
const worker = /^x-qmesh-worker ([0-9a-f]{64})$/

/** Undefined for a comment that says nothing of use here, such as a sign of life. */
export function toNote(comment: string): StreamNote | undefined {
  const [, position, etaMs] = place.exec(comment) ?? []
  if (position !== undefined) return { type: 'place', position: Number(position), etaMs: Number(etaMs) }
  const [, from, to = '', gapMs] = handover.exec(comment) ?? []
  if (from !== undefined) return { type: 'handover', from, to, gapMs: Number(gapMs) }
  const [, workerId] = worker.exec(comment) ?? []
  return workerId === undefined ? undefined : { type: 'worker', workerId }
}
