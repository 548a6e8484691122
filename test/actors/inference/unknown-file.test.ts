import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLlamaEngine } from '../../../actors/inference/llama/llama-engine.ts'
import { inferenceWorkerUrl } from '../../../runtime/inference-worker.ts'
import { writeTinyGguf } from '../../support/tiny-gguf.ts'

test('a file whose header ends the engine is refused, and this process lives; one that is vouched for is not tried', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'qmesh-unknown-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const engine = createLlamaEngine({ workerUrl: inferenceWorkerUrl, trialDir: join(dir, 'trials') })
  const options = { gpuLayers: 0, mlock: false, threads: 1 }

  const crasher = writeTinyGguf(join(dir, 'crasher.gguf'))
  const bytes = readFileSync(crasher)
  const key = 'llama.feed_forward_length'
  bytes.write('x', bytes.indexOf(key) + key.length - 1)
  writeFileSync(crasher, bytes)
  await expect(engine.load({ id: 'crasher', path: crasher }, options)).rejects.toMatchObject({
    code: 'QM_MODEL_INVALID',
  })

  const path = writeTinyGguf(join(dir, 'tiny.gguf'))
  const expectedHash = createHash('sha256').update(readFileSync(path)).digest('hex')
  // Where nothing can be written, nothing can be tried.
  const untried = createLlamaEngine({ workerUrl: inferenceWorkerUrl, trialDir: '/dev/null/trials' })
  const host = await untried.load({ id: 'tiny', path, expectedHash }, options)
  await host.close()
})
