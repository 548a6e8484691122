import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'
import { ModelStore, type ModelStoreOptions } from '../../../../actors/models/store/model-store.ts'
import type { ModelManifest } from '../../../../protocol/models/index.ts'
import { sampleManifest } from '../../../protocol/models/samples.ts'
import { createTinyGguf, type TinyGgufOptions } from '../../../support/tiny-gguf.ts'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A folder of its own, removed after the test. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'qmesh-models-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function openStore(dir: string, options: Partial<ModelStoreOptions> = {}): Promise<ModelStore> {
  const store = await ModelStore.open({ dir, ...options })
  onTestFinished(() => store.close())
  return store
}

/** A real model of half a megabyte, eight blocks, and what a manifest says of it. */
export function tinyModel(options: TinyGgufOptions & { readonly id?: string } = {}) {
  const { id = 'tiny', ...rest } = options
  const bytes = createTinyGguf(rest)
  const hash = sha256(bytes)
  return { bytes, hash, manifest: manifestOf(id, { bytes: bytes.length, sha256: hash, core: null }) }
}

export const manifestOf = (
  id: string,
  artifact: ModelManifest['artifact'] = { bytes: null, sha256: null, core: null },
): ModelManifest => sampleManifest({ id, artifact, sources: [{ kind: 'peers' }] })

export function tinyFile(folder: string, options: TinyGgufOptions & { readonly id?: string } = {}) {
  const model = tinyModel(options)
  const path = join(folder, `${model.manifest.id}.gguf`)
  writeFileSync(path, model.bytes)
  return { ...model, path }
}

export interface StoreChild {
  readonly process: ChildProcessWithoutNullStreams
  /** The next line it writes. */
  line(): Promise<string>
  kill(): Promise<void>
}

/** Another process on a store; see store-child.ts. It is started, and ended after the test. */
export function startChild(args: readonly string[], limit = ''): StoreChild {
  const tsx = new URL('../../../../node_modules/tsx/dist/esm/index.mjs', import.meta.url).href
  const entry = new URL('store-child.ts', import.meta.url).pathname
  const command = [process.execPath, '--import', tsx, entry, ...args]
  const child =
    limit === ''
      ? spawn(command[0] ?? '', command.slice(1))
      : spawn('sh', ['-c', `${limit}; exec "$@"`, 'sh', ...command])
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stderr.pipe(process.stderr)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    process: child,
    line: async () => {
      const { value, done } = await lines.next()
      if (done) throw new Error('the child ended without another line')
      return value
    },
    kill: async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}
