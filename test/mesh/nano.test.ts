import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { builtInModel } from '../../runtime/built-in-model.ts'
import type { QMeshNode } from '../../runtime/index.ts'
import { createInferenceRig } from '../support/inference-rig.ts'
import { createTestMesh } from './support/mesh.ts'

const greedy = { temperature: 0, maxTokens: 120, localOnly: true } as const
const ask = (node: QMeshNode, question: string) => node.ask(question, greedy).result

/** What the evaluation's report quotes, question by question. */
function quotedAnswers(): [question: string, answer: string][] {
  const report = readFileSync(new URL('../../models/nano/REPORT.md', import.meta.url), 'utf8')
  const quotes = report.matchAll(/^- \*\*(.+?)\*\* \(.*right\)\n\n?((?: {2}> .*\n)+)/gm)
  return Array.from(quotes, ([, question = '', quote = '']) => [
    question,
    quote.replaceAll(/^ {2}> /gm, '').trim(),
  ])
}

describe('the built-in model', () => {
  it('is what a node serves when no model is named, and answers as its evaluation says', async () => {
    const mesh = await createTestMesh()
    const node = await mesh.worker({ models: undefined, bootstrap: ['127.0.0.1:9'] })
    expect(node.status().models).toMatchObject([{ id: 'nano', state: 'ready', contextTokens: 1_024 }])
    const quoted = quotedAnswers()
    expect(quoted.length).toBeGreaterThanOrEqual(4)
    for (const [question, answer] of quoted) {
      const { text, finishReason } = await ask(node, question)
      expect(text.trim()).toBe(answer)
      expect(finishReason).toBe('stop')
    }
    const outside = await ask(node, 'Who won the world cup in 2014?')
    expect(outside.text).toMatch(/small/)
    expect(outside.text).toMatch(/--model/)
  })

  it('is refused when its file is not the one of the manifest, before anything of it is loaded', async () => {
    const rig = createInferenceRig()
    const spec = await builtInModel()
    const damaged = join(rig.folder, 'qmesh-nano.gguf')
    copyFileSync(spec.path, damaged)
    const bytes = readFileSync(damaged)
    const last = bytes.length - 1
    bytes[last] = (bytes[last] ?? 0) ^ 1
    writeFileSync(damaged, bytes)
    await expect(rig.load({ ...spec, path: damaged, slots: 1, contextTokens: 512 })).rejects.toMatchObject({
      code: 'QM_MODEL_HASH_MISMATCH',
      message: expect.stringContaining('qmesh-nano.gguf'),
    })
    await rig.close()
  })
})
