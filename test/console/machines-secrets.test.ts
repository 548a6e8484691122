import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { z } from 'zod'
import type { InspectionFrame } from '../../protocol/inspection.ts'
import { identityFromFile } from '../../runtime/identity.ts'
import { createTestMesh } from '../mesh/support/mesh.ts'

/** Everything that a node's inspector sends, from now on. */
async function watch(url: string, key: string) {
  const headers = { authorization: `Bearer ${key}` }
  const leaving = new AbortController()
  const reply = await fetch(`${url}/machines/events`, { headers, signal: leaving.signal })
  const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const reading = (async () => {
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) text += part.value
  })().catch(() => {})
  const frames = () =>
    text
      .split('\n\n')
      .slice(0, -1)
      .filter((block) => block.startsWith('data: '))
      .map((block) => JSON.parse(block.slice(6)) as InspectionFrame)
  return {
    /** Names of the events so far. */
    events: () =>
      frames().flatMap((frame) =>
        frame.type === 'entries'
          ? frame.entries.flatMap((entry) => (entry.kind === 'event' ? entry.event : []))
          : [],
      ),
    /** All of it, and what can be read beside it. */
    end: async () => {
      const tree = await (await fetch(`${url}/machines/tree`, { headers })).text()
      leaving.abort()
      await reading
      return text + tree
    },
  }
}

it('what a node shows of its machines holds no prompt, no answer and no key, on either side', async () => {
  const mesh = await createTestMesh()
  const key = 'gateway-key-of-nobody-else'
  const front = { gateway: true, gatewayPort: 0, gatewayKeys: [key] }
  const dirs = [await mesh.tempDir(), await mesh.tempDir()] as const
  const worker = await mesh.worker({ ...front, dataDir: dirs[0] })
  const client = await mesh.client({ ...front, dataDir: dirs[1] })
  await expect.poll(() => client.workers().filter(({ models }) => models.length > 0).length).toBe(1)
  const watched = await Promise.all(
    [worker, client].map((node) => watch(node.status().gateway?.url ?? '', key)),
  )

  const prompt = 'My-doctor-says Zwiebelkuchen 4711.'
  const messages = [
    { role: 'system', content: 'Rumpelstilzchen' },
    { role: 'user', content: prompt },
  ] as const
  const { text, workerId } = await client.ask(messages, {
    temperature: 0,
    maxTokens: 40,
    stop: ['Hexenhaus'],
  }).result
  expect(workerId).toBe(worker.id)
  const [ofWorker, ofClient] = watched
  // It was there to be seen on both sides.
  await expect.poll(() => ofClient?.events()).toContain('attempt.finished')
  await expect.poll(() => ofWorker?.events()).toContain('slot.run')
  const told = (await Promise.all(watched.map(({ end }) => end()))).join('\n')
  expect(told.length).toBeGreaterThan(10_000)

  const words = [
    prompt,
    'Zwiebelkuchen',
    'Rumpelstilzchen',
    'Hexenhaus',
    key,
    mesh.secret,
    mesh.secret.slice(9, 23),
  ]
  for (const part of [text, ...(text.match(/\S{6,}/g) ?? [])]) words.push(part)
  for (const id of [worker.id, client.id]) words.push(id, id.slice(0, 17))
  for (const dir of dirs) {
    const identity = identityFromFile(await readFile(join(dir, 'identity'), 'utf8'))
    if (!identity) throw new Error('the identity could not be read')
    const root = z.object({ seed: z.string() }).parse(JSON.parse(identity.toFile())).seed
    const keys = [Buffer.from(root, 'hex'), identity.deriveSeed('noise'), identity.deriveSeed('log')]
    for (const secret of keys) {
      for (const form of ['hex', 'base64', 'base64url'] as const)
        words.push(secret.toString(form).slice(0, 16))
      words.push([...secret.subarray(0, 8)].join(','))
    }
  }
  for (const word of words) expect([word, told.includes(word)]).toEqual([word, false])
})
